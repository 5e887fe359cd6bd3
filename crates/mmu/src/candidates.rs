//! The results that an access may get: the fresh walk, cached translations, walks from cached
//! entries.

use crate::bits::ENTRY_A;
use crate::paging::{Paging, Physical, Translation};
use crate::permit::{Kind, Request, error_code, permit};
use crate::tlb::{Entry, Fill, Now, Tag, Tlb, tables_of};
use crate::walk::{Failure, Read, Walk, walk, walk_from};

/// The origin of a result.
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
    /// Origin of the result.
    pub source: Source,
    /// The translation, or the reason why the walk found no page.
    pub result: Result<Translation, Failure>,
    /// The walk; `None` if the translation was in the TLB.
    pub walk: Option<Walk>,
}

/// The effect of an access that uses one candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The access is made at this physical address, after the [`updates`](crate::updates) of the
    /// walk.
    Access {
        /// Physical address of the access's first byte.
        pa: u64,
    },
    /// #PF with this error code.
    Fault {
        /// The error code as pushed on the stack.
        code: u32,
    },
    /// The access is a write, and the translation in the TLB has D clear. The processor walks to
    /// set D, so that walk is one of the candidates: the caller skips this one.
    Rewalk,
    /// The walk led to an address without memory.
    NoMemory {
        /// Physical address of the missing entry.
        pa: u64,
    },
}

impl Candidate {
    /// Returns the effect of `request`, an access to the address that the candidate is for.
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

    /// Returns whether every access to `va` that gets `self` has the same effect as one that gets
    /// `other`.
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
    /// Returns every result that an access to `va` may get now, the fresh walk first. `va` is
    /// canonical.
    ///
    /// A result is left out if another has all its effects for this address: the same frame and
    /// rights, or failure, the same A and D flags to set, and no entry read that the other does not
    /// read.
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

    /// Records that an access has used `candidate` and was permitted. Under [`Fill::Retain`] the
    /// walk is cached now. Under [`Fill::Adversarial`] there is nothing to do: the result of a walk
    /// can be walked to until a change, and is added just before that.
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

/// Returns whether a walk would leave these entries as they are.
fn accessed(reads: &[Read]) -> bool {
    reads.iter().all(|read| read.value & ENTRY_A != 0)
}
