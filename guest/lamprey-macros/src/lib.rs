//! The attribute of a scenario.
//!
//! Invariant: this crate only rewrites syntax. What a record means is in `abi`, what makes one in
//! `lamprey::__private`.

#![forbid(unsafe_code)]

mod args;
mod expand;
mod marks;

use proc_macro::TokenStream;

/// Makes a function a scenario: enters it into the image's table, where Lamprey finds it.
///
/// The function takes nothing and returns nothing. Its name, with the module's, is the scenario's;
/// the first paragraph of its documentation says what it is about.
///
/// - `finds = "property"`: the scenario re-creates a known bug. It is right if this property is
///   violated, and wrong if none or another is.
/// - `marks = ["…", …]`: marks in functions that the scenario calls. Those in its own body, written
///   `mark!("…")` or `lamprey::mark!("…")`, are found by the attribute.
///
/// ```ignore
/// /// A CPU that comes back from lazy mode still has the old LAM bits.
/// #[lamprey::scenario(finds = "lam-at-user-point", marks = ["lazy"])]
/// fn lazy_return() { situation(); }
/// ```
#[proc_macro_attribute]
pub fn scenario(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::scenario(args.into(), item.into())
        .unwrap_or_else(|error| error.into_compile_error())
        .into()
}
