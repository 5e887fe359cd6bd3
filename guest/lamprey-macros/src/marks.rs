//! The marks that a function's body declares.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::LitStr;

/// Returns the literals of all `mark!("…")` in `tokens`, in order. Paths before `mark` do not
/// matter.
pub(crate) fn in_tokens(tokens: TokenStream) -> Vec<LitStr> {
    let mut found = Vec::new();
    collect(tokens, &mut found);
    found
}

fn collect(tokens: TokenStream, found: &mut Vec<LitStr>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (index, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else { continue };
        if group.delimiter() != Delimiter::None && is_mark(&tokens[..index]) {
            found.extend(syn::parse2::<LitStr>(group.stream()));
        } else {
            collect(group.stream(), found);
        }
    }
}

/// Returns whether the tokens end in `mark!`.
fn is_mark(before: &[TokenTree]) -> bool {
    let [.., TokenTree::Ident(name), TokenTree::Punct(bang)] = before else { return false };
    name == "mark" && bang.as_char() == '!'
}

#[cfg(test)]
mod tests {
    use quote::quote;

    fn marks(tokens: proc_macro2::TokenStream) -> Vec<String> {
        super::in_tokens(tokens).iter().map(syn::LitStr::value).collect()
    }

    #[test]
    fn finds_marks_at_any_depth() {
        let body = quote! {
            lamprey::cpu(0, move || { if x { lamprey::mark!("one"); } mark!["two"] });
            ::lamprey::mark! { "three" }
        };
        assert_eq!(marks(body), ["one", "two", "three"]);
    }

    #[test]
    fn leaves_the_rest_alone() {
        assert!(marks(quote!(mark("a"); remark!("b"); note!("c"); mark!(NAME))).is_empty());
    }
}
