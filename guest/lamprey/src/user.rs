//! Accesses at CPL 3 and their results.
//!
//! With [`page_tables`](crate::page_tables) they go through the tables that CR3 selects and through
//! the CPU's TLB, which may hold older contents of the tables.
//!
//! Otherwise user memory is flat: [`USER_SIZE`] bytes from [`USER_BASE`], zero at first, the same bytes
//! for every value of CR3. Address spaces differ only in LAM: a pointer is masked according to CR3
//! and must then be canonical.

use core::fmt;

pub use abi::layout::{USER_BASE, USER_SIZE};

use crate::hypercall::{lamprey_user_execute, lamprey_user_read, lamprey_user_write};

/// #GP: a pointer that is not canonical.
pub const GENERAL_PROTECTION: u8 = 13;
/// #PF: an address that is not mapped.
pub const PAGE_FAULT: u8 = 14;

/// A fault that user mode would have taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserFault {
    /// The exception: [`GENERAL_PROTECTION`] or [`PAGE_FAULT`].
    pub vector: u8,
    /// Its error code.
    pub code: u32,
}

impl fmt::Display for UserFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.vector {
            GENERAL_PROTECTION => write!(f, "#GP({:#x})", self.code),
            PAGE_FAULT => write!(f, "#PF({:#x})", self.code),
            vector => write!(f, "exception {vector}({:#x})", self.code),
        }
    }
}

impl core::error::Error for UserFault {}

/// A value that one access moves: 1, 2, 4 or 8 bytes.
pub trait Value: Copy + sealed::Sealed {
    #[doc(hidden)]
    fn to_word(self) -> u64;
    #[doc(hidden)]
    fn from_word(word: u64) -> Self;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! values {
    ($($int:ty),*) => {$(
        impl sealed::Sealed for $int {}
        impl Value for $int {
            #[inline]
            fn to_word(self) -> u64 {
                u64::from(self)
            }
            #[inline]
            fn from_word(word: u64) -> Self {
                word as $int
            }
        }
    )*};
}

values!(u8, u16, u32, u64);

/// Loads from user memory as user mode would on this CPU at this moment.
///
/// ```ignore
/// let tagged = user::USER_BASE | 0x2a << 57;
/// let word = user::read::<u64>(tagged)?;
/// ```
///
/// # Errors
///
/// Returns the fault that user mode would have taken; it is not delivered.
#[inline]
pub fn read<T: Value>(pointer: u64) -> Result<T, UserFault> {
    let mut word = 0;
    // SAFETY: `word` has room for 8 bytes.
    let status = unsafe { lamprey_user_read(pointer, size_of::<T>() as u64, &raw mut word) };
    result(status).map(|()| T::from_word(word))
}

/// Stores to user memory as user mode would on this CPU at this moment.
///
/// ```ignore
/// user::write(user::USER_BASE + 8, 1u32)?;
/// ```
///
/// # Errors
///
/// Returns the fault that user mode would have taken; it is not delivered.
#[inline]
pub fn write<T: Value>(pointer: u64, value: T) -> Result<(), UserFault> {
    result(lamprey_user_write(pointer, size_of::<T>() as u64, value.to_word()))
}

/// Fetches an instruction as user mode would on this CPU at this moment; nothing is executed. LAM does
/// not apply.
///
/// # Errors
///
/// Returns the fault that user mode would have taken; it is not delivered.
///
/// # Panics
///
/// The run ends undecided without [`page_tables`](crate::page_tables).
#[inline]
pub fn execute(pointer: u64) -> Result<(), UserFault> {
    result(lamprey_user_execute(pointer))
}

#[inline]
fn result(status: u64) -> Result<(), UserFault> {
    match status {
        0 => Ok(()),
        _ => Err(UserFault { vector: (status >> 32) as u8, code: status as u32 }),
    }
}
