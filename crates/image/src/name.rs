//! Short names of functions: demangled, without hash, modules and generic arguments.

use std::fmt::Write as _;

/// Demangles a name (Rust legacy and v0), without its hash; returns other names as they are.
pub fn demangle(raw: &str) -> String {
    let mut name = String::new();
    match rustc_demangle::try_demangle(raw) {
        Ok(demangled) if write!(name, "{demangled:#}").is_ok() => name,
        _ => raw.to_owned(),
    }
}

/// Shortens a demangled function name to the form used in conversation.
///
/// Leading modules and generic arguments are removed, a method keeps its type, a closure is named
/// after the function that holds it, and suffixes of the compiler (`.constprop.0`) are removed.
///
/// ```
/// assert_eq!(image::short_name("seed::before::switch_mm"), "switch_mm");
/// assert_eq!(image::short_name("<seed::Core as seed::Switch>::switch_to"), "Core::switch_to");
/// ```
pub fn short_name(demangled: &str) -> String {
    let path = demangled.trim();
    let mut parts: Vec<Component<'_>> = split_path(path).into_iter().filter_map(part).collect();
    let Some(last) = parts.pop() else { return path.to_owned() };
    // A closure's `call_once` is the closure, and a closure is its function.
    if let Some(Component::Type(inner)) = parts.last()
        && split_path(inner).last().is_some_and(|last| last.starts_with("{closure"))
    {
        return short_name(inner);
    }
    let name = match last {
        Component::Name(name) => name.to_owned(),
        Component::Type(inner) => short_type(inner),
    };
    match parts.last() {
        Some(Component::Type(inner)) => format!("{}::{name}", short_type(inner)),
        Some(Component::Name(owner)) if owner.starts_with(char::is_uppercase) => {
            format!("{owner}::{name}")
        }
        _ => name,
    }
}

/// One component of a path that a short name keeps.
enum Component<'a> {
    Name(&'a str),
    /// The type in `<T>`, `<T as Trait>`, `<impl T>`, `<impl Trait for T>`.
    Type(&'a str),
}

fn part(component: &str) -> Option<Component<'_>> {
    if let Some(inner) = component.strip_prefix('<') {
        let inner = inner.strip_suffix('>').unwrap_or(inner);
        return Some(Component::Type(self_type(inner)));
    }
    let end = component.find(['<', '{']).unwrap_or(component.len());
    let name = &component[..end];
    // `.cold`, `.isra.0`: parts that the compiler made; a name may begin with a dot, though.
    let end = name.char_indices().skip(1).find(|&(_, c)| c == '.').map_or(name.len(), |(i, _)| i);
    let name = &name[..end];
    (!name.is_empty()).then_some(Component::Name(name))
}

fn self_type(inner: &str) -> &str {
    if let Some(rest) = inner.strip_prefix("impl ") {
        return split_top(rest, " for ").pop().unwrap_or(rest);
    }
    split_top(inner, " as ").into_iter().next().unwrap_or(inner)
}

/// Returns the last component of a type's path, without generic arguments and references.
fn short_type(path: &str) -> String {
    let mut path = path.trim();
    for prefix in ["&", "*const ", "*mut ", "mut ", "dyn ", "&", "mut "] {
        path = path.strip_prefix(prefix).unwrap_or(path).trim_start();
    }
    if let Some(inner) = path.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let element = split_top(inner, "; ").into_iter().next().unwrap_or(inner);
        return format!("[{}]", short_type(element));
    }
    if path.starts_with(['(', '<']) || path.starts_with("fn(") {
        return path.to_owned();
    }
    let mut parts = split_path(path).into_iter().filter_map(part);
    match parts.next_back() {
        Some(Component::Name(name)) => name.to_owned(),
        _ => path.to_owned(),
    }
}

/// Returns the components of a path, without the generic arguments that v0 writes as `::<T>`.
fn split_path(path: &str) -> Vec<&str> {
    let components = split_top(path, "::");
    let turbofish = |&(position, component): &(usize, &str)| {
        position > 0 && component.starts_with('<') && !component.starts_with("<impl ")
    };
    let kept = components.into_iter().enumerate().filter(|pair| !turbofish(pair));
    kept.map(|(_, component)| component).collect()
}

/// Splits at `separator` where no bracket is open.
fn split_top<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let bytes = text.as_bytes();
    let (mut parts, mut start, mut depth, mut at) = (Vec::new(), 0, 0usize, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            // The arrow of a function type closes nothing.
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' | b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && bytes[at..].starts_with(separator.as_bytes()) {
            parts.push(&text[start..at]);
            at += separator.len();
            start = at;
        } else {
            at += 1;
        }
    }
    parts.push(&text[start..]);
    parts
}
