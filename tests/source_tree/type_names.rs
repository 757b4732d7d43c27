//! One term per concept: no type name is defined twice in production code.

use std::collections::BTreeMap;

use crate::modules::Module;

/// A line for each name that is defined more than once, with the places.
pub(crate) fn repeated(modules: &[Module]) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for module in modules.iter().filter(|module| !module.is_test) {
        for ty in module.source.types.iter().filter(|ty| !ty.in_test) {
            places.entry(&ty.name).or_default().push(format!("{}:{}", module.file, ty.line));
        }
    }
    places
        .iter()
        .filter(|(_, places)| places.len() > 1)
        .map(|(name, places)| format!("the type name `{name}` has {} definitions: {}", places.len(), places.join(", ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SourceFile, modules};

    fn repeated_in(a: &str, b: &str) -> usize {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let modules = modules::parse(&[file("src/a.rs", a), file("src/b.rs", b)]).expect("Rust");
        repeated(&modules).len()
    }

    #[test]
    fn second_definition_of_a_type_name_is_found() {
        assert_eq!(repeated_in("struct Window;", "pub(crate) enum Window { Open }"), 1);
        assert_eq!(repeated_in("trait Window {}", "mod inner { pub type Window = u8; }"), 1);
        assert_eq!(repeated_in("struct Window;", "struct Door;"), 0);
    }

    #[test]
    fn type_names_of_test_code_may_repeat() {
        assert_eq!(repeated_in("struct Window;", "#[cfg(test)] mod tests { struct Window; }"), 0);
        assert_eq!(repeated_in("struct Window;", "#[cfg(test)] struct Window;"), 0);
    }

    #[test]
    fn second_definition_of_a_private_or_general_name_is_found() {
        assert_eq!(repeated_in("pub struct Options;", "struct Options;"), 1);
    }
}
