//! Reads one Rust source with `syn`: the paths it refers to, the names it imports and the types it defines. Imports are
//! expanded, `self`, `super` and imported names are resolved, and the tokens inside macros and attributes count as
//! well. Knows nothing of which paths are allowed.

use std::collections::HashMap;

use proc_macro2::{Spacing, Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Ident, Item, Meta, UseTree};

/// A path in the code.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    /// Line number, counted from 1.
    pub(crate) line: usize,
    /// `true` for a path below the root of this crate, `false` for one that begins with the name of another crate.
    pub(crate) ours: bool,
    /// The segments; a glob import ends in `*`.
    pub(crate) path: Vec<String>,
    /// Whether it stands below `#[cfg(test)]`.
    pub(crate) in_test: bool,
}

/// A struct, enum, union, trait or type alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TypeName {
    pub(crate) line: usize,
    pub(crate) name: String,
    /// Whether it stands below `#[cfg(test)]`.
    pub(crate) in_test: bool,
}

/// What one file says.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// Sorted, each once. A single name outside `use` is not a path.
    pub(crate) references: Vec<Reference>,
    /// Each imported name, with its path.
    pub(crate) imports: HashMap<String, Reference>,
    pub(crate) types: Vec<TypeName>,
    /// Modules that are declared with `#[cfg(test)]`.
    pub(crate) test_modules: Vec<String>,
}

/// Reads `text` as the module `module`.
///
/// # Errors
///
/// The message of `syn`, with the line, when the text is not Rust.
pub(crate) fn read(module: &[String], text: &str) -> Result<Source, String> {
    let file = syn::parse_file(text).map_err(|error| format!("{}: {error}", error.span().start().line))?;
    let mut children = Children::default();
    children.visit_file(&file);
    let mut reader =
        Reader { module: module.to_vec(), in_test: false, children: children.names, found: Source::default() };
    reader.visit_file(&file);
    let mut source = reader.found;
    source.test_modules = children.of_tests;
    // An import may stand below its use, so imported names are resolved when all of them are known.
    let Source { imports, references, .. } = &mut source;
    for reference in references.iter_mut().filter(|reference| !reference.ours && reference.path.len() > 1) {
        if let Some(import) = imports.get(&reference.path[0]) {
            reference.ours = import.ours;
            reference.path.splice(..1, import.path.iter().cloned());
        }
    }
    // `use crate as root` refers to nothing yet.
    references.retain(|reference| !reference.path.is_empty());
    references.sort();
    references.dedup();
    Ok(source)
}

/// The modules that a file declares: a path may begin with the name of a child.
#[derive(Default)]
struct Children {
    names: Vec<String>,
    of_tests: Vec<String>,
}

impl Visit<'_> for Children {
    fn visit_item_mod(&mut self, item: &syn::ItemMod) {
        self.names.push(item.ident.to_string());
        if is_test_only(&item.attrs) {
            self.of_tests.push(item.ident.to_string());
        }
        visit::visit_item_mod(self, item);
    }
}

struct Reader {
    /// The module of the code that is being visited, inline modules included.
    module: Vec<String>,
    in_test: bool,
    children: Vec<String>,
    found: Source,
}

impl Reader {
    /// Runs `visit` with `in_test` set if the attributes say so.
    fn within(&mut self, attributes: &[Attribute], visit: impl FnOnce(&mut Self)) {
        let before = self.in_test;
        self.in_test |= is_test_only(attributes);
        visit(self);
        self.in_test = before;
    }

    fn add(&mut self, span: Span, path: &[String]) -> Reference {
        let reference = self.resolve(span.start().line, path);
        self.found.references.push(reference.clone());
        reference
    }

    /// Makes a path absolute, as far as that is possible without the imports.
    fn resolve(&self, line: usize, path: &[String]) -> Reference {
        let below = |module: &[String], rest: &[String]| (true, [module, rest].concat());
        let supers = path.iter().take_while(|name| *name == "super").count();
        let (ours, path) = match path.first().map(String::as_str) {
            Some("crate" | "docrelay") => below(&[], &path[1..]),
            Some("self") => below(&self.module, &path[1..]),
            Some("super") => below(&self.module[..self.module.len().saturating_sub(supers)], &path[supers..]),
            Some(first) if self.children.iter().any(|child| child == first) => below(&self.module, path),
            _ => (false, path.to_vec()),
        };
        Reference { line, ours, path, in_test: self.in_test }
    }

    /// Adds the imports of a `use` tree that stands below `prefix`.
    fn use_tree(&mut self, prefix: &[String], tree: &UseTree) {
        let joined = |name: &Ident| [prefix, &[plain(name)]].concat();
        match tree {
            UseTree::Path(path) => self.use_tree(&joined(&path.ident), &path.tree),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.use_tree(prefix, tree)),
            UseTree::Glob(glob) => {
                self.add(glob.star_token.span, &[prefix, &["*".to_owned()]].concat());
            }
            UseTree::Name(name) => self.import(&joined(&name.ident), &name.ident, &name.ident),
            UseTree::Rename(rename) => self.import(&joined(&rename.ident), &rename.ident, &rename.rename),
        }
    }

    /// Adds the import of `path`, whose last segment is `last`, under the name `bound`.
    fn import(&mut self, path: &[String], last: &Ident, bound: &Ident) {
        // `a::{self}` imports `a`.
        let path = if path.len() > 1 && last == "self" { &path[..path.len() - 1] } else { path };
        let bound = if bound == "self" { path.last().cloned().unwrap_or_default() } else { plain(bound) };
        let reference = self.add(last.span(), path);
        self.found.imports.insert(bound, reference);
    }

    /// Adds the paths in tokens that nothing has parsed: the input of a macro, the arguments of an attribute.
    fn tokens(&mut self, tokens: &TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut span = Span::call_site();
        let mut colons = 0;
        for token in tokens.clone() {
            match &token {
                TokenTree::Punct(sign)
                    if sign.as_char() == ':' && (colons == 1 || colons == 0 && sign.spacing() == Spacing::Joint) =>
                {
                    colons += 1;
                }
                TokenTree::Ident(name) if colons == 2 && !path.is_empty() => {
                    path.push(plain(name));
                    colons = 0;
                }
                _ => {
                    self.end_of_path(&mut path, span);
                    colons = 0;
                    match &token {
                        TokenTree::Ident(name) => {
                            path.push(plain(name));
                            span = name.span();
                        }
                        TokenTree::Group(group) => self.tokens(&group.stream()),
                        _ => {}
                    }
                }
            }
        }
        self.end_of_path(&mut path, span);
    }

    fn end_of_path(&mut self, path: &mut Vec<String>, span: Span) {
        if path.len() > 1 {
            self.add(span, path);
        }
        path.clear();
    }

    fn type_name(&mut self, name: &Ident) {
        let (line, in_test) = (name.span().start().line, self.in_test);
        self.found.types.push(TypeName { line, name: plain(name), in_test });
    }
}

impl Visit<'_> for Reader {
    fn visit_item(&mut self, item: &Item) {
        match item {
            Item::Struct(syn::ItemStruct { ident, attrs, .. })
            | Item::Enum(syn::ItemEnum { ident, attrs, .. })
            | Item::Union(syn::ItemUnion { ident, attrs, .. })
            | Item::Trait(syn::ItemTrait { ident, attrs, .. })
            | Item::Type(syn::ItemType { ident, attrs, .. }) => self.within(attrs, |reader| reader.type_name(ident)),
            _ => {}
        }
        self.within(attributes(item), |reader| visit::visit_item(reader, item));
    }

    fn visit_impl_item_fn(&mut self, item: &syn::ImplItemFn) {
        self.within(&item.attrs, |reader| visit::visit_impl_item_fn(reader, item));
    }

    fn visit_item_mod(&mut self, item: &syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        self.use_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &syn::Path) {
        if path.segments.len() > 1 {
            let names: Vec<String> = path.segments.iter().map(|segment| plain(&segment.ident)).collect();
            self.add(path.segments[0].ident.span(), &names);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &syn::Macro) {
        self.tokens(&item.tokens);
        visit::visit_macro(self, item);
    }

    fn visit_attribute(&mut self, attribute: &Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.tokens(&list.tokens);
        }
        visit::visit_attribute(self, attribute);
    }
}

/// A name without the `r#` of a raw identifier.
fn plain(name: &Ident) -> String {
    let name = name.to_string();
    name.strip_prefix("r#").map_or_else(|| name.clone(), str::to_owned)
}

/// Whether `#[cfg(test)]` is among the attributes.
fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
