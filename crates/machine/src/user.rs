//! Accesses to the user half: the kernel's own, and those of user mode.

use abi::hypercall::Hypercall;
use mmu::Kind;
use x86::{At, Fault};

use crate::exec::{Accesses, Exec, Stop};
use crate::hypercall::{Outcome, misuse};
use crate::layout::Want;
use crate::walker::UserAccess;
use crate::watch::{Access, Watch};
use crate::word::Part;

/// Bit 2 of a page fault's error code: at CPL 3.
const AT_CPL3: u32 = 1 << 2;

impl<A: Accesses, W: Watch> Exec<'_, A, W> {
    /// A load or store at CPL 3.
    pub(crate) fn user(
        &mut self,
        pointer: u64,
        size: u64,
        c: u64,
        kind: Kind,
    ) -> Result<Outcome, Stop> {
        let Some(size) = u8::try_from(size).ok().filter(|s| matches!(s, 1 | 2 | 4 | 8)) else {
            return Ok(misuse(Hypercall::UserRead, "takes a size of 1, 2, 4 or 8 bytes"));
        };
        let access = UserAccess { pointer, size, kind, user: true, ac: false };
        let location = match self.user_location(access)? {
            Ok(location) => location,
            Err(fault) => return Ok(faulted(fault)),
        };
        let at = At { va: pointer, size, stack: false, locked: false, for_write: false };
        if kind == Kind::Write {
            self.store_at(location, at, c)?;
        } else {
            let value = self.load_at(location, at)?;
            let out = At { va: c, size: 8, stack: false, locked: false, for_write: false };
            x86::Env::store(self, out, value)?;
        }
        Ok(Outcome::Done(0))
    }

    /// An instruction fetch at CPL 3; nothing is executed.
    pub(crate) fn user_execute(&mut self, pointer: u64) -> Result<Outcome, Stop> {
        if !self.fixed.paged {
            let what = "needs page tables: flat user memory holds no code";
            return Ok(misuse(Hypercall::UserExecute, what));
        }
        let access = UserAccess { pointer, size: 0, kind: Kind::Execute, user: true, ac: false };
        Ok(match self.user_location(access)? {
            Ok(_) => Outcome::Done(0),
            Err(fault) => faulted(fault),
        })
    }

    /// Where an access at CPL 3 goes, or the fault it takes.
    fn user_location(&mut self, access: UserAccess) -> Result<Result<u64, Fault>, Stop> {
        self.insn.several = true;
        let again = self.is_latched();
        let result = if self.fixed.paged && access.pointer >> 63 == 0 {
            self.translate_paged(access)?
        } else {
            self.translate_flat(access)?
        };
        if !again {
            let fault = result.err().map(|fault| (fault.vector, fault.code));
            let UserAccess { pointer, kind, .. } = access;
            self.report(Access::User { kind, pointer, fault });
        }
        Ok(result)
    }

    /// Flat user memory; supervisor addresses are present and protected.
    fn translate_flat(&mut self, access: UserAccess) -> Result<Result<u64, Fault>, Stop> {
        self.part_of_cpu(Part::Cr3, false)?;
        self.part_of_cpu(Part::Cr4, false)?;
        // The length of an instruction fetch does not matter.
        let UserAccess { pointer, kind, .. } = access;
        let size = access.size.max(1);
        let (cr3, cr4) = (self.system.cr3, self.system.cr4);
        let check = |va| match kind {
            Kind::Execute => mmu::lam::canonical(va, self.system.paging().la57()).then_some(va),
            _ => mmu::lam::data_address(va, cr3, cr4),
        };
        let last = pointer.wrapping_add(u64::from(size) - 1);
        let (Some(va), Some(_)) = (check(pointer), check(last)) else {
            return Ok(Err(Fault::GP));
        };
        if va >> 63 == 0
            && let Some(location) = self.layout.user(va, size)
        {
            return Ok(Ok(location));
        }
        if va >> 63 == 1 {
            self.kernel_half(va, size)?;
        }
        let supervisor = va >> 63 == 1 && self.layout.kernel(va, size, Want::Read).is_some();
        let write = u32::from(kind == Kind::Write) << 1;
        let fetch = u32::from(kind == Kind::Execute) << 4;
        let code = AT_CPL3 | fetch | write | u32::from(supervisor);
        if self.part_of_cpu(Part::Cr2, true)? {
            self.system.cr2 = va;
        }
        Ok(Err(Fault { vector: 14, code, va }))
    }
}

/// What the guest is told of a fault.
fn faulted(fault: Fault) -> Outcome {
    Outcome::Done(u64::from(fault.vector) << 32 | u64::from(fault.code))
}
