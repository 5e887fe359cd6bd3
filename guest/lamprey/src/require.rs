//! Properties: the conditions that must hold, and the report of a violation.
//!
//! Nothing is formatted unless a property is violated.

use core::fmt::{self, Display, Write};
use core::panic::PanicInfo;

use abi::hypercall::Failure;
use abi::property::Property;
use abi::table::Text;

use crate::hypercall::lamprey_fail;

/// Ends the run as a violation of `property` unless `condition` holds.
///
/// The property is named in kebab-case, as a scenario that re-creates a bug declares it with `finds
/// = "…"`. The sentence describes the violation, in the kernel's words; it may have arguments, like
/// `format!`.
///
/// ```ignore
/// lamprey::require!(owner == Some(cpu), "mutual-exclusion", "CPU {cpu} unlocks what it has not locked");
/// ```
#[macro_export]
macro_rules! require {
    ($condition:expr, $property:literal, $($sentence:tt)+) => {
        if !$condition {
            $crate::__private::fail(
                $property,
                core::format_args!($($sentence)+),
                core::file!(),
                core::line!(),
            )
        }
    };
}

/// Like [`require!`], for two values that must be equal: found, then expected. The report shows
/// both, so they must implement `PartialEq` and `Display`.
///
/// One or two texts more name the locations of the values: the found one, then the expected one.
///
/// ```ignore
/// lamprey::require_eq!(lam_of(cr3), mm.lam(), "lam-at-user-point",
///     "user mode runs with the old LAM mode", "CR3.LAM", "mm_a.lam_cr3_mask");
/// // found LAM off in CR3.LAM, expected LAM_U57 in mm_a.lam_cr3_mask
/// ```
#[macro_export]
macro_rules! require_eq {
    ($found:expr, $expected:expr, $property:literal, $sentence:expr $(,)?) => {
        $crate::require_eq!($found, $expected, $property, $sentence, "", "")
    };
    ($found:expr, $expected:expr, $property:literal, $sentence:expr, $found_in:expr $(,)?) => {
        $crate::require_eq!($found, $expected, $property, $sentence, $found_in, "")
    };
    (
        $found:expr, $expected:expr, $property:literal, $sentence:expr,
        $found_in:expr, $expected_in:expr $(,)?
    ) => {{
        let (found, expected) = ($found, $expected);
        if found != expected {
            $crate::__private::fail_eq(
                $crate::__private::Placed { value: found, place: $found_in },
                $crate::__private::Placed { value: expected, place: $expected_in },
                $property,
                $sentence,
                core::file!(),
                core::line!(),
            )
        }
    }};
}

/// A value and the name of its location.
#[doc(hidden)]
pub struct Placed<T> {
    pub value: T,
    pub place: &'static str,
}

impl<T: Display> Display for Placed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)?;
        if self.place.is_empty() { Ok(()) } else { write!(f, " in {}", self.place) }
    }
}

#[doc(hidden)]
#[cold]
#[inline(never)]
pub fn fail(property: &'static str, sentence: fmt::Arguments<'_>, file: &str, line: u32) -> ! {
    let sentence = Buffer::<512>::format(sentence);
    report(property, sentence.text(), NO_TEXT, NO_TEXT, text(file), line)
}

#[doc(hidden)]
#[cold]
#[inline(never)]
pub fn fail_eq<F: Display, E: Display>(
    found: Placed<F>,
    expected: Placed<E>,
    property: &'static str,
    sentence: &str,
    file: &str,
    line: u32,
) -> ! {
    let found = Buffer::<256>::format(format_args!("{found}"));
    let expected = Buffer::<256>::format(format_args!("{expected}"));
    report(property, text(sentence), expected.text(), found.text(), text(file), line)
}

// Under `test` the crate is only analysed, by tools that read all targets; `std` has one then.
#[cfg(all(feature = "panic-handler", not(test)))]
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    panicked(info)
}

/// Ends the run as a violation of the property `panic`. The library's own panic handler does so; a kernel
/// that has its own, and so leaves out the feature `panic-handler`, calls this there under `cfg(lamprey)`.
#[cold]
#[inline]
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    let sentence = Buffer::<512>::format(format_args!("{}", info.message()));
    let (file, line) = info.location().map_or(("", 0), |place| (place.file(), place.line()));
    report(Property::Panic.name(), sentence.text(), NO_TEXT, NO_TEXT, text(file), line)
}

fn report(
    property: &'static str,
    sentence: Text,
    expected: Text,
    found: Text,
    file: Text,
    line: u32,
) -> ! {
    let property = Text::new(property);
    let failure = Failure { property, sentence, expected, found, file, line: u64::from(line) };
    // SAFETY: the record and its texts live until the call, which does not return.
    unsafe { lamprey_fail(&raw const failure) }
}

const NO_TEXT: Text = Text::new("");

/// Describes a text that outlives the hypercall.
fn text(text: &str) -> Text {
    Text { start: text.as_ptr(), len: text.len() }
}

/// A text of at most `N` bytes; the rest is cut off.
struct Buffer<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Buffer<N> {
    fn format(args: fmt::Arguments<'_>) -> Self {
        let mut buffer = Self { bytes: [0; N], len: 0 };
        // An error is the end of the buffer, or of a `Display` that gave up; the text so far is reported.
        let _ = buffer.write_fmt(args);
        buffer
    }

    fn text(&self) -> Text {
        Text { start: self.bytes.as_ptr(), len: self.len }
    }
}

impl<const N: usize> Write for Buffer<N> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let room = N - self.len;
        let mut fits = room.min(piece.len());
        while !piece.is_char_boundary(fits) {
            fits -= 1;
        }
        self.bytes[self.len..self.len + fits].copy_from_slice(&piece.as_bytes()[..fits]);
        self.len += fits;
        if fits == piece.len() { Ok(()) } else { Err(fmt::Error) }
    }
}
