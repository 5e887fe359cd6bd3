//! What an access may get: the fresh walk, cached translations, walks from cached entries.

use crate::bits::ENTRY_A;
use crate::paging::{Paging, Physical, Translation};
use crate::permit::{Kind, Request, error_code, permit};
use crate::tlb::{Entry, Fill, Now, Tag, Tlb, tables_of};
use crate::walk::{Failure, Read, Walk, walk, walk_from};

/// Where a result comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A walk from CR3.
    Fresh,
    /// A walk from a paging-structure cache entry.
    From {
        /// Level of the entry that was cached: 5 PML5E, 4 PML4E, 3 PDPTE, 2 PDE.
        level: u8,
    },
    /// The TLB.
    Cached(Tag),
}

/// One of the results that an access may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Where it comes from.
    pub source: Source,
    /// The page, or why there is none.
    pub result: Result<Translation, Failure>,
    /// The walk; none if the translation was in the TLB.
    pub walk: Option<Walk>,
}

/// What becomes of an access with one candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is made at this physical address, after the [`updates`](crate::updates) of the walk.
    Access {
        /// Of the access's first byte.
        pa: u64,
    },
    /// #PF with this error code.
    Fault {
        /// As pushed on the stack.
        code: u32,
    },
    /// It is a write, and the translation in the TLB has D clear. The processor walks to set D, so this is
    /// one of the walks among the candidates: the caller skips it.
    Rewalk,
    /// The walk led to where no memory is.
    NoMemory {
        /// Physical address of the missing entry.
        pa: u64,
    },
}

impl Candidate {
    /// What becomes of `request`, an access to the address that the candidate is for.
    pub fn outcome(&self, paging: &Paging, request: &Request) -> Outcome {
        let translation = match self.result {
            Ok(translation) => translation,
            Err(Failure::NoMemory { pa }) => return Outcome::NoMemory { pa },
            Err(failure) => {
                let code = error_code(paging, failure, request);
                return Outcome::Fault { code: code.unwrap_or_default() };
            }
        };
        match permit(paging, &translation, request) {
            Err(code) => Outcome::Fault { code },
            Ok(()) if self.needs_dirty(&translation, request.kind) => Outcome::Rewalk,
            Ok(()) => Outcome::Access { pa: translation.physical(request.va) },
        }
    }

    fn needs_dirty(&self, translation: &Translation, kind: Kind) -> bool {
        self.walk.is_none() && kind == Kind::Write && !translation.dirty
    }

    fn of_walk(source: Source, walk: Walk) -> Self {
        Self { source, result: walk.result, walk: Some(walk) }
    }

    /// Does every access to `va` that gets `self` do the same as one that gets `other`?
    fn is_covered_by(&self, other: &Self, va: u64) -> bool {
        let other_reads = other.walk.as_ref().map_or(&[][..], Walk::reads);
        let Some(walk) = &self.walk else {
            let (Ok(mine), Ok(theirs)) = (self.result, other.result) else { return false };
            return mine.physical(va) == theirs.physical(va)
                && mine.rights == theirs.rights
                && (theirs.dirty || !mine.dirty)
                && accessed(other_reads);
        };
        let Some(skipped) = other_reads.len().checked_sub(walk.reads().len()) else { return false };
        let (upper, lower) = other_reads.split_at(skipped);
        self.result == other.result
            && lower.iter().zip(walk.reads()).all(|(theirs, mine)| theirs.pa == mine.pa)
            && (self.result.is_err() || accessed(upper))
    }
}

impl Tlb {
    /// Every result that an access to `va` may get now, the fresh walk first. `va` is canonical.
    ///
    /// A result is left out if another does all it does for this address: the same frame and rights, or
    /// failure, the same A and D flags to set, and no entry read that the other does not read.
    pub fn candidates<M: Physical + ?Sized>(&self, now: &Now<'_, M>, va: u64) -> Vec<Candidate> {
        let (memory, paging) = (now.memory, &now.paging);
        let mut all = vec![Candidate::of_walk(Source::Fresh, walk(memory, paging, va))];
        for table in self.usable_tables(paging).iter().filter(|table| table.covers(va)).rev() {
            let source = Source::From { level: table.level };
            let walk = walk_from(memory, paging, va, table.start());
            add(&mut all, Candidate::of_walk(source, walk), va);
        }
        for Entry { tag, translation } in self.usable_entries(paging, va) {
            let source = Source::Cached(*tag);
            add(&mut all, Candidate { source, result: Ok(*translation), walk: None }, va);
        }
        all
    }

    /// An access has used `candidate`, and was permitted. Under [`Fill::Retain`] the walk is cached now.
    /// Under [`Fill::Adversarial`] there is nothing to do: what a walk gives can be walked to until a
    /// change, and is added just before that.
    pub fn used<M: Physical + ?Sized>(
        &mut self,
        now: &Now<'_, M>,
        candidate: &Candidate,
        kind: Kind,
    ) {
        let Some(walk) = candidate.walk else { return };
        if now.fill != Fill::Retain {
            return;
        }
        let pcid = now.paging.pcid();
        tables_of(&walk, pcid).for_each(|table| self.insert_table(table));
        if let Ok(translation) = walk.result {
            let dirty = translation.dirty || kind == Kind::Write;
            self.insert_entry(Entry::new(&now.paging, Translation { dirty, ..translation }));
        }
    }
}

fn add(all: &mut Vec<Candidate>, candidate: Candidate, va: u64) {
    if !all.iter().any(|other| candidate.is_covered_by(other, va)) {
        all.push(candidate);
    }
}

/// Would a walk leave these entries as they are?
fn accessed(reads: &[Read]) -> bool {
    reads.iter().all(|read| read.value & ENTRY_A != 0)
}
