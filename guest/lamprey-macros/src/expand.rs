//! The expansion of a function into the function, its entry and its record.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprLit, Ident, ItemFn, Lit, LitStr, Meta, Result, ReturnType, Safety};

use crate::args::Args;
use crate::marks;

pub(crate) fn scenario(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let args = Args::parse(args)?;
    let function: ItemFn = syn::parse2(item.clone())
        .map_err(|_| syn::Error::new(item.span(), "a scenario is a function"))?;
    check_signature(&function)?;

    let name = &function.sig.ident;
    let finds = args.finds.map_or_else(String::new, |property| property.value());
    let about = first_paragraph(&function.attrs);
    let marks = union(args.marks, marks::in_tokens(function.block.to_token_stream()));
    let line = line_of(name);
    Ok(quote! {
        #function

        const _: () = {
            extern "C" fn scenario_entry() {
                #name();
            }

            const MARKS: &[::lamprey::__private::Text] =
                &[#(::lamprey::__private::Text::new(#marks)),*];

            #[used]
            #[unsafe(link_section = ".lamprey.scenarios")]
            static RECORD: ::lamprey::__private::Record = ::lamprey::__private::Record::new(
                ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)),
                scenario_entry,
                #finds,
                #about,
                ::core::file!(),
                #line,
                MARKS,
            );
        };
    })
}

/// Returns the function's line; `line!()` would give the attribute's.
fn line_of(name: &Ident) -> u32 {
    let line = if proc_macro::is_available() { name.span().unwrap().line() } else { 0 };
    u32::try_from(line).unwrap_or(u32::MAX)
}

/// Checks that the function can be called without arguments or promises.
fn check_signature(function: &ItemFn) -> Result<()> {
    let sig = &function.sig;
    let error = |span, message| Err(syn::Error::new(span, message));
    if let Some(token) = sig.asyncness {
        return error(token.span(), "a scenario cannot be async");
    }
    if let Some(token) = sig.constness {
        return error(token.span(), "a scenario cannot be const");
    }
    if let Safety::Unsafe(token) = sig.safety {
        return error(
            token.span(),
            "a scenario cannot be unsafe: no caller could meet its contract",
        );
    }
    if let Some(abi) = &sig.abi {
        return error(abi.span(), "a scenario has the Rust ABI; the attribute makes the C entry");
    }
    if !sig.generics.params.is_empty() {
        return error(
            sig.generics.span(),
            "a scenario cannot be generic; call a generic function from one scenario each",
        );
    }
    if !sig.inputs.is_empty() {
        return error(
            sig.inputs.span(),
            "a scenario takes no parameters; use `lamprey::choose` for values to explore",
        );
    }
    if let ReturnType::Type(_, ty) = &sig.output {
        return error(
            ty.span(),
            "a scenario returns nothing; it fails by `lamprey::require!` or a panic",
        );
    }
    Ok(())
}

/// Returns the first paragraph of the documentation, as one line.
fn first_paragraph(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter_map(|attr| match &attr.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    lines
        // `split`, not `lines`: an empty attribute is an empty line.
        .flat_map(|text| text.split('\n').map(|line| line.trim().to_owned()).collect::<Vec<_>>())
        .skip_while(|line| line.is_empty())
        .take_while(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn union(declared: Vec<LitStr>, found: Vec<LitStr>) -> Vec<String> {
    let mut marks: Vec<String> = Vec::new();
    for mark in declared.into_iter().chain(found) {
        let mark = mark.value();
        if !marks.contains(&mark) {
            marks.push(mark);
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::scenario;

    fn error(item: proc_macro2::TokenStream) -> String {
        scenario(quote!(), item).expect_err("an error").to_string()
    }

    #[test]
    fn enters_name_about_and_marks() {
        let item = quote! {
            /// Two CPUs
            /// count.
            ///
            /// More.
            fn counts() { lamprey::mark!("b"); lamprey::mark!("a"); }
        };
        let out = scenario(quote!(finds = "lost-update", marks = ["a"]), item).unwrap().to_string();
        assert!(out.contains("\"Two CPUs count.\"") && out.contains("\"lost-update\""));
        let marks = out.split("MARKS").nth(1).unwrap();
        assert!(marks.find("\"a\"").unwrap() < marks.find("\"b\"").unwrap());
        assert_eq!(marks.matches("Text :: new").count(), 2);
    }

    #[test]
    fn refuses_functions_that_cannot_be_called() {
        assert!(
            error(quote!(
                struct A;
            ))
            .contains("is a function")
        );
        assert!(
            error(quote!(
                async fn a() {}
            ))
            .contains("async")
        );
        assert!(
            error(quote!(
                const fn a() {}
            ))
            .contains("const")
        );
        assert!(
            error(quote!(
                unsafe fn a() {}
            ))
            .contains("unsafe")
        );
        assert!(
            error(quote!(
                extern "C" fn a() {}
            ))
            .contains("ABI")
        );
        assert!(
            error(quote!(
                fn a<T>() {}
            ))
            .contains("generic")
        );
        assert!(
            error(quote!(
                fn a(n: u64) {}
            ))
            .contains("no parameters")
        );
        assert!(
            error(quote!(
                fn a() -> u64 {
                    0
                }
            ))
            .contains("returns nothing")
        );
    }
}
