//! No import cycle among sibling files. Siblings are the modules of one folder; each stands for everything below it.
//! An import through a re-export of the parent leads to the sibling that owns the name.

use std::collections::BTreeMap;

use crate::imports::Reference;
use crate::modules::Module;

/// Modules of one folder that import each other in a circle.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cycle {
    /// The module that owns the folder; empty for the root.
    pub(crate) folder: Vec<String>,
    /// Names of the siblings, sorted.
    pub(crate) members: Vec<String>,
    /// For each import between two members the first place: `a -> b (file:line)`.
    pub(crate) edges: Vec<String>,
}

impl std::fmt::Display for Cycle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let folder = ["src".to_owned()].into_iter().chain(self.folder.iter().cloned()).collect::<Vec<_>>().join("/");
        write!(f, "{folder}: {} import each other: {}", self.members.join(", "), self.edges.join(", "))
    }
}

/// The imports of one folder: from and to a sibling, with the first place of each.
type Edges = BTreeMap<(String, String), String>;

/// All cycles, by folder. Test modules are not looked at.
pub(crate) fn find(modules: &[Module]) -> Vec<Cycle> {
    let mut folders: BTreeMap<Vec<String>, Edges> = BTreeMap::new();
    for module in modules.iter().filter(|module| !module.is_test) {
        for reference in module.source.references.iter().filter(|reference| reference.ours && !reference.in_test) {
            let Some(target) = owner(modules, reference) else { continue };
            let common = module.path.iter().zip(&target.path).take_while(|(a, b)| a == b).count();
            if let (Some(from), Some(to)) = (module.path.get(common), target.path.get(common)) {
                let place = format!("{from} -> {to} ({}:{})", module.file, reference.line);
                let edges = folders.entry(module.path[..common].to_vec()).or_default();
                edges.entry((from.clone(), to.clone())).or_insert(place);
            }
        }
    }
    folders.iter().flat_map(|(folder, edges)| cycles(folder, edges)).collect()
}

/// The module that a reference leads to: the longest known beginning of its path, re-exports followed.
fn owner<'a>(modules: &'a [Module], reference: &Reference) -> Option<&'a Module> {
    let mut path = reference.path.clone();
    // A chain of re-exports is short; a circle of them does not compile.
    for _ in 0..8 {
        let begins = modules.iter().filter(|module| !module.is_test && path.starts_with(&module.path));
        let module = begins.max_by_key(|module| module.path.len())?;
        let import = path.get(module.path.len()).and_then(|name| module.source.imports.get(name));
        let Some(import) = import.filter(|import| import.ours && !import.in_test) else { return Some(module) };
        path = [&import.path, &path[module.path.len() + 1..]].concat();
    }
    None
}

/// The groups of siblings of which each reaches each other.
fn cycles(folder: &[String], edges: &Edges) -> Vec<Cycle> {
    let mut reaches: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, _) in edges.keys() {
        let mut seen: Vec<&str> = Vec::new();
        let mut open = vec![from.as_str()];
        while let Some(name) = open.pop() {
            for (_, to) in edges.keys().filter(|(from, _)| from == name) {
                if !seen.contains(&to.as_str()) {
                    seen.push(to);
                    open.push(to);
                }
            }
        }
        reaches.insert(from, seen);
    }
    let both = |a: &str, b: &str| reaches[a].contains(&b) && reaches.get(b).is_some_and(|seen| seen.contains(&a));
    let mut found: Vec<Cycle> = Vec::new();
    for name in reaches.keys().filter(|name| both(name, name)) {
        if found.iter().any(|cycle| cycle.members.iter().any(|member| member == name)) {
            continue;
        }
        let members: Vec<String> = reaches.keys().filter(|other| both(name, other)).map(|m| (*m).to_owned()).collect();
        let inside = |(from, to): &(String, String)| members.contains(from) && members.contains(to);
        let edges = edges.iter().filter(|(edge, _)| inside(edge)).map(|(_, place)| place.clone()).collect();
        found.push(Cycle { folder: folder.to_vec(), members, edges });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SourceFile, modules};

    fn cycles_of(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let files = files.iter().map(|(path, text)| SourceFile { path: (*path).into(), text: (*text).into() });
        find(&modules::parse(&files.collect::<Vec<_>>()).expect("Rust")).into_iter().map(|c| c.members).collect()
    }

    #[test]
    fn siblings_that_import_each_other_are_found() {
        let a = ("src/hub/a.rs", "use super::b::B;");
        assert_eq!(cycles_of(&[a, ("src/hub/b.rs", "fn f() { super::a::g() }")]), [["a", "b"]]);
        assert_eq!(cycles_of(&[a, ("src/hub/b.rs", "use crate::event::Event;")]), Vec::<Vec<String>>::new());
        let three = [a, ("src/hub/b.rs", "use super::c::C;"), ("src/hub/c.rs", "use crate::hub::a::A;")];
        assert_eq!(cycles_of(&three), [["a", "b", "c"]]);
    }

    #[test]
    fn folder_stands_for_the_files_below_it() {
        let below = ("src/hub/a/deep.rs", "use crate::hub::b::B;");
        assert_eq!(cycles_of(&[("src/hub/a.rs", ""), below, ("src/hub/b.rs", "use super::a::A;")]), [["a", "b"]]);
    }

    #[test]
    fn import_through_a_reexport_leads_to_its_owner() {
        let parent = ("src/hub.rs", "mod a; mod b; pub use b::B;");
        assert_eq!(
            cycles_of(&[parent, ("src/hub/a.rs", "use super::B;"), ("src/hub/b.rs", "use super::a::A;")]),
            [["a", "b"]]
        );
    }

    #[test]
    fn imports_of_tests_do_not_count() {
        let a = ("src/hub/a.rs", "use super::b::B;");
        let inline = ("src/hub/b.rs", "#[cfg(test)] mod tests { use crate::hub::a::A; }");
        assert_eq!(cycles_of(&[a, inline]), Vec::<Vec<String>>::new());
        let outside = [a, ("src/hub/b.rs", "#[cfg(test)] mod tests;"), ("src/hub/b/tests.rs", "use crate::hub::a::A;")];
        assert_eq!(cycles_of(&outside), Vec::<Vec<String>>::new());
    }
}
