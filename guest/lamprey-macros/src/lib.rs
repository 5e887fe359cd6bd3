//! The attribute of a scenario.
//!
//! Invariant: this crate only rewrites syntax. `abi` defines the meaning of a record, and
//! `lamprey::__private` creates one.

#![forbid(unsafe_code)]

mod args;
mod expand;
mod marks;

use proc_macro::TokenStream;

/// Makes a function a scenario: adds it to the image's table, where Lamprey finds it.
///
/// The function has no parameters and no result. Its name, with the module's, is the scenario's
/// name; the first paragraph of its documentation describes it in reports.
///
/// - `finds = "property"`: the scenario re-creates a known bug. It passes if this property is
///   violated, and fails if none or another is.
/// - `marks = ["…", …]`: marks in functions that the scenario calls. The attribute finds those in
///   its own body, written `mark!("…")` or `lamprey::mark!("…")`.
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
