//! From RIP to an instruction.

use memory::index;
use mmu::{Kind, Request, lam};
use registers::control::EFER_SCE;
use x86::num::low8;
use x86::{Fault, Lowered, MAX_LEN, Op};

use crate::view::{Stop, View};

impl View<'_> {
    /// The instruction at `rip`.
    pub(crate) fn fetch(&mut self, rip: u64) -> Result<Op, Stop> {
        if !lam::canonical(rip, false) {
            return Err(Fault::GP.into());
        }
        let pa = self.fetchable(rip)?;
        // The CPU's own stores to code.
        if self.core.buffer.stores().iter().any(|store| store.location / 4096 == pa / 4096) {
            self.drain();
        }
        if let Some(op) = self.ram.decoded(pa, rip) {
            return Ok(op.clone());
        }
        let mut bytes = self.bytes(pa);
        let within = bytes.len();
        let mut lowered = x86::lower(&bytes, rip);
        if within < MAX_LEN && matches!(lowered, Lowered::Incomplete) {
            // It may go on in the next page.
            let next = rip.wrapping_add(u64::try_from(within).expect("at most 15"));
            if !lam::canonical(next, false) {
                return Err(Fault::GP.into());
            }
            let pa = self.fetchable(next)?;
            self.drain();
            bytes.extend(self.bytes(pa));
            bytes.truncate(MAX_LEN);
            lowered = x86::lower(&bytes, rip);
        }
        match lowered {
            Lowered::Op(op) => {
                if usize::from(op.len()) <= within {
                    self.ram.keep(pa, rip, &op);
                }
                Ok(op)
            }
            Lowered::Unsupported { text, first, .. } => {
                let sce = self.core.msrs.efer & EFER_SCE != 0;
                Err(match first.fault(self.core.cpl, sce) {
                    Some(fault) => fault.into(),
                    None => Stop::Unmodelled(format!("the instruction `{text}`")),
                })
            }
            Lowered::Incomplete => Err(Stop::Unmodelled("an instruction over three pages".into())),
        }
    }

    /// The disassembly of what is at `rip`, without any effect on the CPU.
    pub(crate) fn text(&self, rip: u64) -> Option<String> {
        let page = mmu::walk(&*self.ram, &self.core.paging(), rip).result.ok()?;
        let pa = page.physical(rip);
        self.ram.holds(pa, 1).then(|| x86::disassemble(&self.bytes(pa), rip))
    }

    /// Translates for an instruction fetch.
    fn fetchable(&mut self, va: u64) -> Result<u64, Stop> {
        let user = self.core.cpl == 3;
        self.translate(&Request { va, kind: Kind::Execute, user, ac: false })
    }

    /// Returns the bytes from `pa` to the end of the page, at most as many as an instruction has.
    fn bytes(&self, pa: u64) -> Vec<u8> {
        let length = (4096 - index(pa % 4096)).min(MAX_LEN);
        (pa..).take(length).map(|pa| low8(self.ram.load(pa, 1))).collect()
    }
}
