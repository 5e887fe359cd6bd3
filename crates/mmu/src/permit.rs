//! The check of an access against a translation (SDM vol. 3 §4.6.1): the flags that a permitted
//! access sets (§4.8), and the error code of one that is not (§4.7).

use crate::bits::{ENTRY_A, ENTRY_D, FAULT_I, FAULT_P, FAULT_RSVD, FAULT_U, FAULT_W};
use crate::paging::{Paging, Translation};
use crate::walk::{Failure, Walk};

/// The kind of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A data read.
    Read,
    /// A data write, also that of a read-modify-write.
    Write,
    /// An instruction fetch.
    Execute,
}

/// An access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// Linear address, after LAM; canonical.
    pub va: u64,
    /// Kind of the access.
    pub kind: Kind,
    /// A user-mode access: at CPL 3, and not one that the processor makes on its own, such as to a
    /// descriptor table.
    pub user: bool,
    /// RFLAGS.AC, if this is an access of an instruction; false for one that the processor makes on its
    /// own.
    pub ac: bool,
}

/// Checks `request` against `translation`.
///
/// # Errors
///
/// Returns the error code of the #PF.
pub fn permit(paging: &Paging, translation: &Translation, request: &Request) -> Result<(), u32> {
    let rights = translation.rights;
    let executable = !(paging.nxe && rights.xd);
    let user_data = !paging.smap() || request.ac;
    let permitted = match (request.user, request.kind) {
        (true, Kind::Read) => rights.user,
        (true, Kind::Write) => rights.user && rights.writable,
        (true, Kind::Execute) => rights.user && executable,
        (false, Kind::Read) => !rights.user || user_data,
        (false, Kind::Write) => (!rights.user || user_data) && (rights.writable || !paging.wp()),
        (false, Kind::Execute) => !(rights.user && paging.smep()) && executable,
    };
    if permitted { Ok(()) } else { Err(FAULT_P | access_bits(paging, request)) }
}

/// Returns the error code of the #PF that `failure` causes; `None` where there was no memory to
/// read.
pub fn error_code(paging: &Paging, failure: Failure, request: &Request) -> Option<u32> {
    let access = access_bits(paging, request);
    match failure {
        Failure::NotPresent { .. } => Some(access),
        Failure::Reserved { .. } => Some(access | FAULT_P | FAULT_RSVD),
        Failure::NoMemory { .. } => None,
    }
}

/// Returns W/R, U/S and I/D of the error code. I/D is reported only with EFER.NXE or CR4.SMEP.
fn access_bits(paging: &Paging, request: &Request) -> u32 {
    let kind = match request.kind {
        Kind::Read => 0,
        Kind::Write => FAULT_W,
        Kind::Execute if paging.nxe || paging.smep() => FAULT_I,
        Kind::Execute => 0,
    };
    kind | if request.user { FAULT_U } else { 0 }
}

/// Returns the entries that `walk` changes if its access is permitted, as physical address and new
/// value, the topmost first: A at every level, D in the last one on a write (SDM vol. 3 §4.8).
/// Nothing if the walk failed. An entry that occurs twice on a path is given twice, the last value
/// complete.
///
/// The processor makes each change with a locked cycle (§8.1.2.1).
pub fn updates(walk: &Walk, kind: Kind) -> impl Iterator<Item = (u64, u64)> + '_ {
    let reads = if walk.result.is_ok() { walk.reads() } else { &[] };
    reads.iter().enumerate().filter_map(move |(index, read)| {
        let leaf = index + 1 == reads.len();
        let dirty = if leaf && kind == Kind::Write { ENTRY_D } else { 0 };
        let value = read.value | ENTRY_A | dirty;
        (value != read.value).then_some((read.pa, value))
    })
}
