//! The entries that each operation must drop (SDM vol. 3 §4.10.4.1), and no more than those.
//!
//! A processor may drop more at any time; that needs no exploration, see [`Tlb`]'s page.

use crate::bits::{CR0_PG, CR3_NOFLUSH, CR4_PAE, CR4_PCIDE, CR4_PGE, CR4_SMEP};
use crate::lam::canonical;
use crate::paging::{Paging, Physical, low_bits};
use crate::permit::{Request, permit};
use crate::tlb::{Entry, Now, Table, Tag, Tlb};

/// An INVPCID with operands that do not fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invpcid {
    /// Type 0: one address under one PCID, but not global translations.
    Address {
        /// PCID of the descriptor.
        pcid: u16,
        /// Linear address of the descriptor; canonical.
        va: u64,
    },
    /// Type 1: everything of one PCID, but not global translations.
    Context {
        /// PCID of the descriptor.
        pcid: u16,
    },
    /// Type 2: everything.
    All,
    /// Type 3: everything but global translations.
    AllButGlobal,
}

impl Invpcid {
    /// Decodes the register operand and the descriptor, low half first. `None` is #GP(0) (SDM vol.
    /// 2 INVPCID). LAM does not apply to the address in the descriptor.
    pub fn new(kind: u64, descriptor: [u64; 2], paging: &Paging) -> Option<Self> {
        let [low, va] = descriptor;
        let pcid = low_bits(low);
        let valid = low == u64::from(pcid) && (kind > 1 || paging.pcide() || pcid == 0);
        match kind {
            _ if !valid => None,
            0 => canonical(va, paging.la57()).then_some(Self::Address { pcid, va }),
            1 => Some(Self::Context { pcid }),
            2 => Some(Self::All),
            3 => Some(Self::AllButGlobal),
            _ => None,
        }
    }
}

impl Tlb {
    /// Performs INVLPG: drops translations of the page with `va`, of the current PCID and global
    /// ones, and all paging-structure cache entries of the current PCID.
    ///
    /// Returns false if `va` is not canonical: then it does nothing (SDM vol. 2 INVLPG), even if it
    /// is a pointer that LAM would mask.
    pub fn invlpg<M: Physical + ?Sized>(&mut self, now: &Now<'_, M>, va: u64) -> bool {
        if !canonical(va, now.paging.la57()) {
            return false;
        }
        let pcid = now.paging.pcid();
        let entry_goes = |e: &Entry| {
            (e.tag == Tag::Pcid(pcid) || e.tag == Tag::Global) && e.translation.covers(va)
        };
        self.invalidate(now, false, entry_goes, |table| table.pcid == pcid);
        true
    }

    /// Performs INVPCID.
    pub fn invpcid<M: Physical + ?Sized>(&mut self, now: &Now<'_, M>, operation: Invpcid) {
        match operation {
            Invpcid::Address { pcid, va } => self.invalidate(
                now,
                false,
                |entry| entry.tag == Tag::Pcid(pcid) && entry.translation.covers(va),
                |table| table.pcid == pcid && table.covers(va),
            ),
            Invpcid::Context { pcid } => self.invalidate_pcid(now, false, pcid),
            Invpcid::All => self.clear(),
            Invpcid::AllButGlobal => {
                self.invalidate(now, false, |entry| entry.tag != Tag::Global, |_| true);
            }
        }
    }

    /// Performs MOV to CR3 of `operand`, which does not fault; `now` is the state before it.
    ///
    /// Without CR4.PCIDE everything of PCID 0 is dropped, with it everything of the new PCID unless
    /// bit 63 is set; global translations stay.
    pub fn mov_cr3<M: Physical + ?Sized>(&mut self, now: &Now<'_, M>, operand: u64) {
        let new = Paging { cr3: operand & !CR3_NOFLUSH, ..now.paging };
        let leaving = (new.root(), new.pcid()) != (now.paging.root(), now.paging.pcid());
        if now.paging.pcide() && operand & CR3_NOFLUSH != 0 {
            self.invalidate(now, leaving, |_| false, |_| false);
        } else {
            self.invalidate_pcid(now, leaving, new.pcid());
        }
    }

    /// Performs MOV to CR4 of `new`, which does not fault; `now` is the state before it.
    ///
    /// Everything is dropped if PGE changes or PCIDE is cleared. Everything of the current PCID is
    /// dropped if PAE changes or SMEP is set; global translations may be of another PCID, so they
    /// stay. LAM and SMAP drop nothing.
    pub fn mov_cr4<M: Physical + ?Sized>(&mut self, now: &Now<'_, M>, new: u64) {
        let old = now.paging.cr4;
        let (changed, set, cleared) = (old ^ new, new & !old, old & !new);
        if changed & CR4_PGE != 0 || cleared & CR4_PCIDE != 0 {
            self.clear();
        } else if changed & CR4_PAE != 0 || set & CR4_SMEP != 0 {
            self.invalidate_pcid(now, changed & CR4_PAE != 0, now.paging.pcid());
        }
    }

    /// Performs MOV to CR0 of `new`, which does not fault; `now` is the state before it. Everything
    /// is dropped if PG is cleared.
    pub fn mov_cr0<M: Physical + ?Sized>(&mut self, now: &Now<'_, M>, new: u64) {
        if now.paging.cr0 & !new & CR0_PG != 0 {
            self.clear();
        }
    }

    /// Performs the invalidation of a #PF of `request`, whatever walk or translation led to it:
    /// translations of its page, and the paging-structure cache entries that would be used for it,
    /// all of the current PCID.
    ///
    /// About global translations the manual says here only that the fault does not come again if
    /// memory does not justify it. So those are dropped that would bring it again.
    pub fn page_fault<M: Physical + ?Sized>(&mut self, now: &Now<'_, M>, request: &Request) {
        let (pcid, va) = (now.paging.pcid(), request.va);
        let faults = |entry: &Entry| match entry.tag {
            Tag::Pcid(of) => of == pcid,
            Tag::Global => permit(&now.paging, &entry.translation, request).is_err(),
        };
        self.invalidate(
            now,
            false,
            |entry| entry.translation.covers(va) && faults(entry),
            |table| table.pcid == pcid && table.covers(va),
        );
    }

    fn invalidate_pcid<M: Physical + ?Sized>(
        &mut self,
        now: &Now<'_, M>,
        leaving: bool,
        pcid: u16,
    ) {
        let entry_goes = |entry: &Entry| entry.tag == Tag::Pcid(pcid);
        self.invalidate(now, leaving, entry_goes, |table| table.pcid == pcid);
    }

    fn invalidate<M: Physical + ?Sized>(
        &mut self,
        now: &Now<'_, M>,
        leaving: bool,
        entry_goes: impl Fn(&Entry) -> bool,
        table_goes: impl Fn(&Table) -> bool,
    ) {
        self.capture(now, leaving, &entry_goes, &table_goes);
        self.entries.retain(|entry| !entry_goes(entry));
        self.tables.retain(|table| !table_goes(table));
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.tables.clear();
    }
}
