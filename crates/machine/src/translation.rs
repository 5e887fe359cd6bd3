//! The user half under page tables: what an access gets, and what the caches must forget.
//!
//! The rules are in `mmu`; here they meet the machine. Every operation reads the word [`Word::TABLES`],
//! and a change of an entry that some walk can read writes it, so the search tries both orders.
//!
//! # Which words are entries
//!
//! Those of frames that a walk reaches, from some CPU's CR3 or from an entry that its caches may hold. Whoever
//! loads CR3, or changes an entry, goes through the tables and makes their [`Word::table`] shared; the
//! search begins again when one is new, so in the last round every store to an entry is known for one. In
//! set-up any store may be one. Walks read coherent memory, never a store
//! buffer, so a store to an entry is buffered like any that somebody else sees.
//!
//! # An access
//!
//! Where tables may change, or the caches leave a choice, the CPU *stands before* the translation, and each of
//! the results that `mmu` names is a choice of its own. The one taken is kept while the access itself
//! waits for its turn. A walk is one step: that hardware reads the levels at different moments is
//! covered by the paging-structure caches, which may hold each level as it was earlier.
//!
//! # Freed frames
//!
//! Using a translation to a freed frame is a violation. Walking through a freed table is one, too; under
//! adversarial filling a CPU may walk at any time, so it is one for CR3, or an entry that may be cached
//! under the current PCID, to lead to it.
//!
//! # The kernel half
//!
//! It is mapped by arithmetic, on every CPU, whatever CR3 is. Tables for other addresses there are a
//! [`Gap`](crate::Gap) where an access would use them; tables for an address that arithmetic maps are one as
//! soon as a CPU's CR3 leads to them. Both look at the entry of the topmost table alone: that may say too
//! much, never too little.

use std::sync::Arc;

use abi::layout::{HEAP_BASE, IMAGE_BASE};
use memory::Memory;
use memory::buffer::Store;
use mmu::bits::ENTRY_P;
use mmu::{Candidate, Fill, Kind, Now, Outcome, Paging, Request, Source, Tlb};
use x86::Fault;

use crate::agent::Agent;
use crate::cpu::{Cpu, System};
use crate::exec::{Accesses, Exec, Stop};
use crate::halt::Violation;
use crate::layout::{self, Layout, SETUP_ARENA};
use crate::route::{self, Kept, Route};
use crate::state::State;
use crate::walker::{Ram, UserAccess};
use crate::watch::{Access, Seen, Watch};
use crate::word::{Part, Word};

/// A result it may get, and what becomes of it with that.
type Way = (Candidate, Outcome);

impl System {
    pub(crate) fn paging(&self) -> Paging {
        Paging { cr0: self.cr0, cr3: self.cr3, cr4: self.cr4, nxe: true }
    }

    fn now<'a>(&self, ram: &'a Ram<'a>, fill: Fill) -> Now<'a, Ram<'a>> {
        Now { memory: ram, paging: self.paging(), fill }
    }

    /// The linear address of an access; none if it is not canonical. LAM is for data only.
    fn linear(&self, access: &UserAccess) -> Option<u64> {
        if access.kind == Kind::Execute {
            let la57 = self.paging().la57();
            return mmu::lam::canonical(access.pointer, la57).then_some(access.pointer);
        }
        let check = |pointer| mmu::lam::data_address(pointer, self.cr3, self.cr4);
        let last = access.pointer.wrapping_add(u64::from(access.size).saturating_sub(1));
        check(last).and(check(access.pointer))
    }

    /// Every way an access can go now, at least one; none if its address is not canonical.
    fn ways(&self, ram: &Ram<'_>, fill: Fill, access: &UserAccess) -> Option<Vec<Way>> {
        let va = self.linear(access)?;
        let request = access.request(va);
        let paging = self.paging();
        let candidates = self.tlb.candidates(&self.now(ram, fill), va).into_iter();
        let ways = candidates
            .map(|candidate| (candidate, candidate.outcome(&paging, &request)))
            // Hardware walks again to set D: one of the walks stands for it.
            .filter(|(_, outcome)| *outcome != Outcome::Rewalk);
        Some(ways.collect())
    }

    /// How many ways an access can go now.
    pub(crate) fn count_ways(&self, ram: &Ram<'_>, fill: Fill, access: &UserAccess) -> usize {
        self.ways(ram, fill, access).map_or(1, |ways| ways.len())
    }
}

impl<A: Accesses, W: Watch> Exec<'_, A, W> {
    fn ram(&self) -> Ram<'_> {
        Ram { layout: self.layout, memory: self.memory }
    }

    /// The location of an access under page tables, or the fault it takes.
    pub(crate) fn translate_paged(
        &mut self,
        access: UserAccess,
    ) -> Result<Result<u64, Fault>, Stop> {
        if let Some(location) = self.latched() {
            return Ok(Ok(location));
        }
        self.pass_fence()?;
        let ways = self.system.ways(&self.ram(), self.fixed.fill, &access);
        let touches = self.touches(ways.as_deref().unwrap_or_default(), access.kind);
        let several = ways.as_ref().is_some_and(|ways| ways.len() > 1);
        if self.fixed.alone && several {
            let what = "user memory with several results, in code that runs by itself";
            return Err(Stop::Unmodelled(what.into()));
        }
        let picked = self.step.pick.take_if(|(of, _)| *of == access);
        if picked.is_none() && !self.may_translate(&touches, several) {
            self.step.choosing = Some(access);
            return Err(self.before_operation(&touches));
        }
        // One that is private comes out the same when the instruction begins again: it is no reason to
        // keep interrupts out.
        self.insn.visible |= picked.is_some();
        let pick = usize::from(picked.map_or(0, |(_, pick)| pick));
        self.touch_all(&touches);
        let result = match ways {
            None => Err(Fault::GP),
            Some(ways) => {
                let way = ways.get(pick).expect("a choice where there is none");
                let result = self.take(way, &access)?;
                self.tell_stale(&way.0, &access);
                result
            }
        };
        self.insn.done.push(result.unwrap_or(0));
        Ok(result)
    }

    /// What a translation that can go these ways touches.
    fn touches(&self, ways: &[Way], kind: Kind) -> Vec<(Word, bool)> {
        let faults = ways.iter().any(|(_, outcome)| matches!(outcome, Outcome::Fault { .. }));
        let mut entries: Vec<u64> =
            ways.iter().flat_map(|way| updates(way, kind)).map(|(entry, _)| entry).collect();
        entries.sort_unstable();
        entries.dedup();
        let mut touches = vec![
            (Word::TABLES, !entries.is_empty()),
            (self.part_word(Part::Tlb), faults || self.fixed.fill == Fill::Retain),
            (self.part_word(Part::Cr3), false),
            (self.part_word(Part::Cr4), false),
        ];
        touches.extend(faults.then_some((self.part_word(Part::Cr2), true)));
        touches.extend(entries.iter().map(|entry| (Word::memory(self.entry_at(*entry)), true)));
        touches
    }

    /// The location of an entry that a walk has read.
    fn entry_at(&self, pa: u64) -> u64 {
        self.layout.physical(pa, 8).expect("the walk has read it")
    }

    /// The access goes this way.
    fn take(
        &mut self,
        (candidate, outcome): &Way,
        access: &UserAccess,
    ) -> Result<Result<u64, Fault>, Stop> {
        let request = access.request(self.system.linear(access).expect("it was"));
        if let Some(walk) = &candidate.walk
            && let Some(read) = walk.reads().iter().find(|read| self.is_free(read.pa))
        {
            let frame = read.pa & !0xfff;
            let (cpu, route) = (self.agent.cpu(), Route::of(candidate, request.va));
            return Err(Stop::Fail(Box::new(Violation::FreedTable { cpu, frame, route })));
        }
        match *outcome {
            Outcome::Access { pa } => self.use_frame(candidate, &request, pa, access.size).map(Ok),
            Outcome::Fault { code } => {
                self.change_tlb(|tlb, now| tlb.page_fault(now, &request));
                self.system.cr2 = request.va;
                Ok(Err(Fault { vector: 14, code, va: request.va }))
            }
            Outcome::NoMemory { pa } => Err(Stop::Unmodelled(format!(
                "a page walk for {:#x} that reads {pa:#x}, where no memory is",
                request.va
            ))),
            Outcome::Rewalk => unreachable!("is no way to go"),
        }
    }

    /// Tells of an access that got something else than a walk from CR3 gives.
    fn tell_stale(&mut self, candidate: &Candidate, access: &UserAccess) {
        if W::ON {
            let route = Route::of(candidate, access.pointer);
            if !matches!(route, Route::Walk { .. }) {
                let agent = Agent::hardware(self.agent.cpu());
                self.watch.seen(Seen { agent, rip: self.insn.rip, access: Access::Stale(route) });
            }
        }
    }

    /// A permitted access at `pa`: A and D, the caches, and the location.
    fn use_frame(
        &mut self,
        candidate: &Candidate,
        request: &Request,
        pa: u64,
        size: u8,
    ) -> Result<u64, Stop> {
        if self.is_free(pa) {
            let (cpu, route) = (self.agent.cpu(), Route::of(candidate, request.va));
            let violation = Violation::FreedFrame { cpu, frame: pa & !0xfff, route };
            return Err(Stop::Fail(Box::new(violation)));
        }
        if let Some(walk) = &candidate.walk {
            for (entry, value) in mmu::updates(walk, request.kind) {
                self.memory.set_word(self.entry_at(entry) / 8, value);
            }
        }
        self.change_tlb(|tlb, now| tlb.used(now, candidate, request.kind));
        let last = pa & 0xfff;
        if last + u64::from(size) > 0x1000 {
            return Err(Stop::Unmodelled("an access to user memory across two pages".into()));
        }
        self.layout.physical(pa, size).ok_or_else(|| {
            let what = format!("user memory at physical address {pa:#x}, where no memory is");
            Stop::Unmodelled(what)
        })
    }

    fn is_free(&self, pa: u64) -> bool {
        self.freed.binary_search(&(pa & !0xfff)).is_ok()
    }

    /// An operation on this CPU's caches, with what it touches beside them. False if an earlier step has
    /// performed it.
    pub(crate) fn invalidates(&mut self, also: &[(Word, bool)]) -> Result<bool, Stop> {
        let own = [(self.part_word(Part::Tlb), true), (Word::TABLES, false)];
        let paged: &[(Word, bool)] = if self.fixed.paged { &own } else { &[] };
        let touches: Vec<(Word, bool)> = also.iter().chain(paged).copied().collect();
        self.operation(&touches)
    }

    pub(crate) fn change_tlb(&mut self, change: impl FnOnce(&mut Tlb, &Now<'_, Ram<'_>>)) {
        if !self.fixed.paged {
            return;
        }
        let mut tlb = std::mem::take(&mut self.system.tlb);
        let ram = self.ram();
        change(Arc::make_mut(&mut tlb), &self.system.now(&ram, self.fixed.fill));
        self.system.tlb = tlb;
    }

    /// CR3 has been loaded: its tables are tables from now on.
    pub(crate) fn entered_tables(&mut self) {
        if !self.fixed.paged {
            return;
        }
        self.step.changes.any = true;
        self.step.changes.at = Some(self.insn.rip);
        self.learn_tables();
    }

    /// What is a table now is one from now on, even if what leads there is gone before the step ends.
    pub(crate) fn learn_tables(&mut self) {
        let Exec { layout, memory, system, fixed, agent, accesses, .. } = self;
        find_tables(layout, memory, system, fixed.fill, *agent, *accesses);
    }

    /// Is the word at `location` an entry of some table, or may it be?
    #[inline]
    pub(crate) fn is_entry(&self, location: u64) -> bool {
        self.fixed.paged && (self.fixed.setup || is_entry(self.layout, self.accesses, location))
    }

    /// The entry at `location` is about to change: this CPU's caches may keep it. The others learn of it
    /// when the step ends; they do nothing until then.
    pub(crate) fn entry_changes(&mut self, location: u64) {
        let Some(pa) = self.layout.physical_address(location & !7) else { return };
        self.touch_all(&[(Word::TABLES, true)]);
        let before = W::ON.then(|| self.system.tlb.clone());
        self.change_tlb(|tlb, now| tlb.before_store(now, pa));
        if let Some(before) = before {
            let agent = Agent::hardware(self.agent.cpu());
            let entry = self.layout.address(location & !7);
            for kept in route::news(&before, &self.system.tlb) {
                let access = Access::Cached { kept, entry };
                self.watch.seen(Seen { agent, rip: self.insn.rip, access });
            }
        }
        if !self.fixed.setup {
            self.step.changes.entries.push((location / 8, self.memory.word(location / 8)));
        }
        self.step.changes.any = true;
        self.step.changes.at = Some(self.insn.rip);
    }

    /// `frame_free`; or what is wrong with the address.
    pub(crate) fn free_frame(&mut self, pa: u64) -> Result<Result<(), &'static str>, Stop> {
        if pa & 0xfff != 0 {
            return Ok(Err("was given an address that is not aligned to 4096 bytes"));
        }
        if !self.is_allocated(pa) {
            return Ok(Err("was given no address of a frame that lamprey::alloc has given"));
        }
        if self.operation(&[(Word::TABLES, true)])? {
            let freed = Arc::make_mut(self.freed);
            let Err(place) = freed.binary_search(&pa) else {
                return Err(Stop::Fail(Box::new(Violation::FreedTwice { frame: pa })));
            };
            freed.insert(place, pa);
            self.step.changes.any = true;
            self.step.changes.freed.push(pa);
            self.report(Access::FrameFreed { pa });
        }
        Ok(Ok(()))
    }

    /// Has `alloc` given memory there? Of other agents' arenas this one cannot tell how full they are.
    fn is_allocated(&self, pa: u64) -> bool {
        let Some(va) = self.layout.physical(pa, 8).map(|location| self.layout.address(location))
        else {
            return false;
        };
        let setup_next =
            if self.fixed.setup { self.system.arenas[0] } else { self.fixed.heap_next };
        (SETUP_ARENA.0..setup_next).contains(&va) || layout::in_an_arena(va)
    }

    /// Where the arithmetic map has nothing for a kernel address, tables may have. They have no model there,
    /// so nothing follows where they, or what may be cached of them, lead anywhere. An entry of the
    /// topmost table decides: if that is absent, and nothing is cached, they cannot.
    pub(crate) fn kernel_half(&mut self, va: u64, size: u8) -> Result<(), Stop> {
        if !self.fixed.paged {
            return Ok(());
        }
        let touches = [(Word::TABLES, false), (self.part_word(Part::Tlb), false)];
        self.operation(&touches)?;
        let last = va.wrapping_add(u64::from(size.max(1)) - 1);
        let leads = |va| self.system.leads_somewhere(&self.ram(), self.fixed.fill, va);
        if leads(va) || leads(last) {
            return Err(Stop::Unmodelled(format!(
                "a kernel-half mapping made in page tables, of {va:#x}"
            )));
        }
        Ok(())
    }
}

impl System {
    /// Can an access to `va`, which is canonical, read any present entry?
    pub(crate) fn leads_somewhere(&self, ram: &Ram<'_>, fill: Fill, va: u64) -> bool {
        let candidates = self.tlb.candidates(&self.now(ram, fill), va);
        candidates.iter().any(|candidate| match (candidate.source, &candidate.walk) {
            (Source::Fresh, Some(walk)) => {
                walk.reads().iter().any(|read| read.value & ENTRY_P != 0)
            }
            _ => true,
        })
    }
}

/// Who has page tables for an address that the arithmetic map has, and where. That map holds whatever
/// tables say, so where they say anything one of the two would be wrong.
pub(crate) fn remaps_kernel(layout: &Layout, state: &State, fill: Fill) -> Option<(u8, u64)> {
    let ram = Ram { layout, memory: &state.memory };
    (0u8..).zip(&state.cpus).find_map(|(number, cpu)| {
        let leads = |va: &u64| cpu.system.leads_somewhere(&ram, fill, *va);
        [HEAP_BASE, IMAGE_BASE].into_iter().find(leads).map(|va| (number, va))
    })
}

/// The entries whose A or D hardware sets on this way, and what they become.
fn updates((candidate, outcome): &Way, kind: Kind) -> impl Iterator<Item = (u64, u64)> {
    let walk = candidate.walk.as_ref().filter(|_| matches!(outcome, Outcome::Access { .. }));
    walk.into_iter().flat_map(move |walk| mmu::updates(walk, kind))
}

/// Is the word at `location` in a frame that is known to hold a table?
pub(crate) fn is_entry<A: Accesses>(layout: &Layout, accesses: &A, location: u64) -> bool {
    layout.table_word(location).is_some_and(|word| accesses.is_shared(word))
}

/// Makes known that the frames which walks read are tables.
pub(crate) fn find_tables<A: Accesses>(
    layout: &Layout,
    memory: &Memory,
    system: &System,
    fill: Fill,
    agent: Agent,
    accesses: &mut A,
) {
    let ram = Ram { layout, memory };
    system.tlb.tables_walked(&system.now(&ram, fill), &mut |frame| {
        let word = layout.physical(frame, 8).and_then(|location| layout.table_word(location));
        if let Some(word) = word.filter(|word| !accesses.is_shared(*word)) {
            accesses.touch(agent, word, true);
            accesses.touch(Agent::OBSERVER, word, true);
        }
    });
}

/// Entries at these words, which held these values, have changed: what the caches of all CPUs but `but`
/// may keep. `seen` is given memory as it was before each of them.
pub(crate) fn capture<W: Watch>(
    layout: &Layout,
    state: &mut State,
    fill: Fill,
    stores: &[(u64, u64)],
    but: Option<u8>,
    (rip, watch): (u64, &mut W),
    mut seen: impl FnMut(&[Arc<Cpu>], &Memory),
) {
    let State { memory, cpus, .. } = state;
    for (index, (word, _)) in stores.iter().enumerate() {
        let Some(pa) = layout.physical_address(word * 8) else { continue };
        let mut before = memory.clone();
        stores[index..].iter().rev().for_each(|(word, old)| before.set_word(*word, *old));
        seen(cpus, &before);
        let ram = Ram { layout, memory: &before };
        for (number, cpu) in (0..).zip(cpus.iter_mut()).filter(|(number, _)| Some(*number) != but) {
            let mut tlb = cpu.system.tlb.clone();
            Arc::make_mut(&mut tlb).before_store(&cpu.system.now(&ram, fill), pa);
            if tlb == cpu.system.tlb {
                continue;
            }
            if W::ON {
                let (agent, entry) = (Agent::hardware(number), layout.address(word * 8));
                for kept in route::news(&cpu.system.tlb, &tlb) {
                    watch.seen(Seen { agent, rip, access: Access::Cached { kept, entry } });
                }
            }
            Arc::make_mut(cpu).system.tlb = tlb;
        }
    }
}

/// States whose caches differ in nothing that could be told become equal.
pub(crate) fn normalize(layout: &Layout, state: &mut State, fill: Fill) {
    let State { memory, cpus, .. } = state;
    let ram = Ram { layout, memory };
    for cpu in cpus {
        let mut tlb = cpu.system.tlb.clone();
        Arc::make_mut(&mut tlb).normalize(&cpu.system.now(&ram, fill));
        if tlb != cpu.system.tlb {
            Arc::make_mut(cpu).system.tlb = tlb;
        }
    }
}

/// Who may walk through a freed table, if anybody.
pub(crate) fn freed_walk(layout: &Layout, state: &State, fill: Fill) -> Option<Violation> {
    if fill != Fill::Adversarial {
        return None;
    }
    let ram = Ram { layout, memory: &state.memory };
    let walker = |number: u8, cpu: &Cpu, frame: u64| {
        let reach = cpu.system.tlb.walks_through(&cpu.system.now(&ram, fill), frame);
        let route = match (reach.fresh.first(), reach.cached.first()) {
            (Some(path), _) => Route::Entries { level: path.level, va: path.va },
            (None, Some((table, _))) => Route::Kept(Kept::table(table)),
            (None, None) => return None,
        };
        Some(Violation::FreedTable { cpu: number, frame, route })
    };
    let mut cpus = (0..).zip(&state.cpus);
    cpus.find_map(|(number, cpu)| {
        state.freed.iter().find_map(|frame| walker(number, cpu.as_ref(), *frame))
    })
}

/// Who is still to write to a frame that CPU `by` frees, if anybody. Its own stores stay before the free
/// for all who learn of that from it.
pub(crate) fn freed_under_store(
    layout: &Layout,
    state: &State,
    frame: u64,
    by: u8,
) -> Option<Violation> {
    let is_there = |store: &Store| {
        let pa = layout.physical_address(store.location).filter(|_| store.paged);
        pa.is_some_and(|pa| pa & !0xfff == frame)
    };
    let mut others = (0u8..).zip(&state.cpus).filter(|(number, _)| *number != by);
    let (cpu, _) = others.find(|(_, cpu)| cpu.system.buffer.stores().iter().any(is_there))?;
    Some(Violation::FreedUnderStore { cpu, frame })
}
