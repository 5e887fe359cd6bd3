//! The arguments of the attribute.

use proc_macro2::TokenStream;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Ident, LitStr, Result, Token, bracketed};

/// The arguments in the parentheses.
#[derive(Default)]
pub(crate) struct Args {
    pub(crate) finds: Option<LitStr>,
    pub(crate) marks: Vec<LitStr>,
}

enum Arg {
    Finds(Ident, LitStr),
    Marks(Ident, Vec<LitStr>),
}

impl Parse for Arg {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name: Ident = input.parse()?;
        match name.to_string().as_str() {
            "finds" => {
                input.parse::<Token![=]>()?;
                let property: LitStr = input.parse()?;
                check_property(&property)?;
                Ok(Self::Finds(name, property))
            }
            "marks" => {
                input.parse::<Token![=]>()?;
                let list;
                bracketed!(list in input);
                let marks = Punctuated::<LitStr, Token![,]>::parse_terminated(&list)?;
                Ok(Self::Marks(name, marks.into_iter().collect()))
            }
            _ => Err(syn::Error::new(
                name.span(),
                "a scenario takes `finds = \"property\"` and `marks = [\"…\"]`",
            )),
        }
    }
}

impl Args {
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        let mut args = Self::default();
        let mut has_marks = false;
        for arg in Punctuated::<Arg, Token![,]>::parse_terminated.parse2(tokens)? {
            match arg {
                Arg::Finds(name, property) => {
                    if args.finds.replace(property).is_some() {
                        return Err(syn::Error::new(name.span(), "`finds` is given twice"));
                    }
                }
                Arg::Marks(name, marks) => {
                    if has_marks {
                        return Err(syn::Error::new(name.span(), "`marks` is given twice"));
                    }
                    has_marks = true;
                    args.marks = marks;
                }
            }
        }
        Ok(args)
    }
}

fn check_property(property: &LitStr) -> Result<()> {
    let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let text = property.value();
    if !text.is_empty() && text.chars().all(kebab) && !text.starts_with('-') && !text.ends_with('-')
    {
        return Ok(());
    }
    Err(syn::Error::new(property.span(), "a property is named in kebab-case: `lost-update`"))
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::Args;

    fn error(tokens: proc_macro2::TokenStream) -> String {
        Args::parse(tokens).err().expect("an error").to_string()
    }

    #[test]
    fn accepts_every_argument() {
        let args = Args::parse(quote!(finds = "lost-update", marks = ["a", "b"],)).unwrap();
        assert_eq!(args.finds.unwrap().value(), "lost-update");
        assert_eq!(args.marks.len(), 2);
        assert!(Args::parse(quote!()).unwrap().finds.is_none());
    }

    #[test]
    fn errors_name_the_fault() {
        assert!(error(quote!(find = "x")).contains("a scenario takes"));
        assert!(error(quote!(finds = "Lost Update")).contains("kebab-case"));
        assert!(error(quote!(finds = "a", finds = "b")).contains("twice"));
        assert!(error(quote!(marks = [], marks = [])).contains("twice"));
    }
}
