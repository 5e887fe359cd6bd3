//! Page walks, what may be cached, and accesses to user memory.

use abi::hypercall::Hypercall;
use abi::layout::{HEAP_BASE, HEAP_PHYS};

use crate::naive::{Naive, Stopped};
use crate::outcome::Bad;
use crate::program::{Op, Place, RDI, RDX, RSI};
use crate::state::{Cpu, State};
use crate::tlb::{Cached, Page, Rights, Upper, prefix};

const P: u64 = 1;
const RW: u64 = 1 << 1;
const US: u64 = 1 << 2;
const A: u64 = 1 << 5;
const D: u64 = 1 << 6;
const PS: u64 = 1 << 7;
const G: u64 = 1 << 8;
const XD: u64 = 1 << 63;
const ADDRESS: u64 = ((1 << 52) - 1) & !0xfff;
const NO_FLUSH: u64 = 1 << 63;
const LAM_U48: u64 = 1 << 62;
const LAM_U57: u64 = 1 << 61;
const PGE: u64 = 1 << 7;
const SMEP: u64 = 1 << 20;
const ALL: Rights = Rights { write: true, user: true, execute: true };

/// An access that is translated.
#[derive(Clone, Copy)]
struct Access {
    va: u64,
    write: bool,
    fetch: bool,
    user: bool,
}

impl Access {
    fn allowed(self, rights: Rights) -> bool {
        let Rights { write, user, execute } = rights;
        (write || !self.write) && (user || !self.user) && (execute || !self.fetch)
    }
}

/// What a translation may give: the virtual address in the direct map and the words that it changes, or
/// vector and error code.
type Translated = Result<(u64, Vec<(usize, u64)>), (u8, u64)>;

/// What a walk gives.
#[derive(Default)]
struct Walk {
    /// The translation, unless an entry is not present.
    page: Option<Page>,
    /// What may be cached of the way: for each entry but the last.
    uppers: Vec<Upper>,
    /// The tables that it reads.
    tables: Vec<u64>,
    /// The entries that are present, by the numbers of their words, and what they hold.
    entries: Vec<(usize, u64)>,
}

impl Walk {
    /// A where it is clear, and D in the last entry for a write (SDM vol. 3 §4.8). What faults sets neither.
    fn updates(&self, write: bool) -> Vec<(usize, u64)> {
        let last = self.entries.len() - 1;
        let set = |(at, (word, entry)): (usize, &(usize, u64))| {
            let new = entry | A | if write && at == last { D } else { 0 };
            (new != *entry).then_some((*word, new))
        };
        self.entries.iter().enumerate().filter_map(set).collect()
    }
}

/// What became of an access at CPL 3.
pub(crate) enum Called {
    Waits,
    /// It has been translated and has changed entries; the access itself comes next.
    Translated,
    /// It is done, with this status.
    Done(u64),
}

impl Naive<'_> {
    /// How many results the translation of the next access of `op` has.
    pub(crate) fn translations(&self, state: &State, cpu: usize, op: Op) -> usize {
        self.access_of(state, cpu, op).map_or(1, |access| self.results(state, cpu, access).len())
    }

    /// The access to user memory that `op` makes now.
    fn access_of(&self, state: &State, cpu: usize, op: Op) -> Option<Access> {
        let top = state.cpus[cpu].top();
        let kernel = |place, write| {
            let va = self.named(state, cpu, place);
            (va >> 63 == 0 && top.translated.is_none()).then_some(Access {
                va,
                write,
                fetch: false,
                user: false,
            })
        };
        match op {
            Op::Load(_, _, place) => kernel(place, false),
            Op::Store(_, _, place) | Op::StoreImm(_, _, place) | Op::Rmw(_, _, _, _, place) => {
                kernel(place, true)
            }
            Op::Call(call) if top.at_call && top.translated.is_none() => {
                Self::user_access(state, cpu, call)
            }
            _ => None,
        }
    }

    fn user_access(state: &State, cpu: usize, call: Hypercall) -> Option<Access> {
        let (write, fetch) = match call {
            Hypercall::UserRead => (false, false),
            Hypercall::UserWrite => (true, false),
            Hypercall::UserExecute => (false, true),
            _ => return None,
        };
        Some(Access { va: Self::reg(state, cpu, RDI), write, fetch, user: true })
    }

    /// All that a translation may give: what may be cached, and faults that a walk may meet.
    fn results(&self, state: &State, number: usize, access: Access) -> Vec<Translated> {
        let cpu = &state.cpus[number];
        let va = if access.fetch { access.va } else { masked(cpu.cr3, access.va) };
        let Some(va) = canonical(va) else { return vec![Err((13, 0))] };
        let code = u64::from(access.write) << 1
            | u64::from(access.user) << 2
            | u64::from(access.fetch) << 4;
        let mut results = Vec::new();
        let pcid = pcid(cpu);
        let cached = cpu.tlb.pages.iter().filter(|page| page.page == va >> 12);
        for page in cached.filter(|page| page.pcid.is_none_or(|of| of == pcid)) {
            match access.allowed(page.rights) {
                // To set D, it walks.
                true if access.write && !page.dirty => {}
                true => results.push(Ok((at(page, va), Vec::new()))),
                false => results.push(Err((14, code | 1))),
            }
        }
        for start in starts(cpu, va) {
            let walk = self.walk(state, cpu, start, va);
            results.push(match walk.page {
                None => Err((14, code)),
                Some(page) if !access.allowed(page.rights) => Err((14, code | 1)),
                Some(page) => Ok((at(&page, va), walk.updates(access.write))),
            });
        }
        results.sort_unstable();
        results.dedup();
        results
    }

    /// Walks from a table.
    fn walk(&self, state: &State, cpu: &Cpu, start: Upper, va: u64) -> Walk {
        let Upper { pcid, level, mut table, mut rights, .. } = start;
        let mut walk = Walk::default();
        for level in (1..=level).rev() {
            walk.tables.push(table);
            let index = (va >> (3 + 9 * u32::from(level)) & 0x1ff) * 8;
            let at = self.word((table + index).wrapping_sub(HEAP_PHYS).wrapping_add(HEAP_BASE));
            let Some(word) = at.filter(|word| state.memory[*word] & P != 0) else { break };
            let entry = state.memory[word];
            walk.entries.push((word, entry));
            rights.write &= entry & RW != 0;
            rights.user &= entry & US != 0;
            rights.execute &= entry & XD == 0;
            table = entry & ADDRESS;
            if level == 1 {
                let global = entry & G != 0 && cpu.cr4 & PGE != 0;
                let (pcid, dirty) = ((!global).then_some(pcid), entry & D != 0);
                walk.page = Some(Page { pcid, page: va >> 12, frame: table, rights, dirty });
                break;
            }
            debug_assert!(entry & PS == 0, "programs have no large pages");
            let (level, prefix) = (level - 1, prefix(va, level - 1));
            walk.uppers.push(Upper { pcid, level, prefix, table, rights });
        }
        walk
    }

    /// The address in the kernel half at which an access to `va` is performed; none if the translation
    /// alone was, as it has changed entries.
    pub(crate) fn resolve(
        &self,
        state: &mut State,
        cpu: usize,
        va: u64,
        write: bool,
        pick: usize,
    ) -> Result<Option<u64>, Stopped> {
        if let Some(translated) = state.cpus[cpu].top().translated {
            return Ok(Some(translated));
        }
        if va >> 63 != 0 {
            return Ok(Some(va));
        }
        if self.program.tables.is_none() {
            return Err(Stopped::NoRule("flat user memory"));
        }
        let access = Access { va, write, fetch: false, user: false };
        match self.results(state, cpu, access).swap_remove(pick) {
            Ok((at, updates)) => self.reached(state, cpu, at, updates),
            Err((vector, _)) => Err(Stopped::Bad(Bad::Fault(vector))),
        }
    }

    /// A translation is used: the address, unless it changes entries, which is a step of its own.
    fn reached(
        &self,
        state: &mut State,
        cpu: usize,
        at: u64,
        updates: Vec<(usize, u64)>,
    ) -> Result<Option<u64>, Stopped> {
        self.used(state, at)?;
        if updates.is_empty() {
            return Ok(Some(at));
        }
        updates.into_iter().for_each(|(word, entry)| state.memory[word] = entry);
        state.cpus[cpu].top_mut().translated = Some(at);
        Ok(None)
    }

    /// A translation to a free frame must not be used.
    fn used(&self, state: &State, at: u64) -> Result<(), Stopped> {
        let pa = (at & !0xfff) - HEAP_BASE + HEAP_PHYS;
        match state.freed.contains(&pa) {
            true => Err(Stopped::Bad(Bad::Failed("freed-frame".into()))),
            false => Ok(()),
        }
    }

    pub(crate) fn is_frame(&self, va: u64) -> bool {
        let frames = self.program.tables.as_ref().map_or(0, |tables| tables.frames as u64);
        (self.heap..self.heap + 4096 * frames).contains(&va)
    }

    /// Adds all that CPUs may cache now. Whether no walk can reach a free table.
    pub(crate) fn cache(&self, state: &mut State) -> Result<(), Stopped> {
        let Some(tables) = &self.program.tables else { return Ok(()) };
        let mut reaches_free = false;
        for number in 0..state.cpus.len() {
            let mut changed = true;
            while changed {
                changed = false;
                for va in &tables.pages {
                    for start in starts(&state.cpus[number], *va) {
                        let walk = self.walk(state, &state.cpus[number], start, *va);
                        reaches_free |= walk.tables.iter().any(|table| state.freed.contains(table));
                        // Nothing is cached before A is set (SDM vol. 3 §4.10.2.3, §4.10.3.1).
                        let accessed = |(_, entry): &&(usize, u64)| entry & A != 0;
                        let accessed = walk.entries.iter().take_while(accessed).count();
                        let page = walk.page.filter(|_| accessed == walk.entries.len());
                        let uppers = &walk.uppers[..accessed.min(walk.uppers.len())];
                        changed |= state.cpus[number].tlb.add(page, uppers);
                    }
                }
            }
        }
        match reaches_free {
            true => Err(Stopped::Bad(Bad::Failed("freed-table".into()))),
            false => Ok(()),
        }
    }

    /// A step begins. A processor may set A by itself and cache an entry at once. That this can be seen in
    /// memory has no rule, so it is of interest only where it is overwritten: just before a store to the
    /// entry.
    pub(crate) fn anticipate(&self, state: &mut State) {
        let Some(tables) = self.program.tables.as_ref().filter(|tables| tables.unaccessed) else {
            return;
        };
        for number in 0..state.cpus.len() {
            let mut pending = Vec::new();
            for va in &tables.pages {
                for start in starts(&state.cpus[number], *va) {
                    let walk = self.walk(state, &state.cpus[number], start, *va);
                    for (at, (word, _)) in walk.entries.iter().enumerate() {
                        let below = walk.uppers[at.min(walk.uppers.len())..].iter();
                        let below = below.map(|upper| Cached::Upper(*upper));
                        let found = below.chain(walk.page.map(Cached::Page));
                        pending.extend(found.map(|cached| (*word, cached)));
                    }
                }
            }
            state.cpus[number].tlb.pending = pending;
        }
    }

    /// The step is made: what leads through an entry that was stored to may have been cached before.
    pub(crate) fn conclude(&self, state: &mut State) {
        let stored = std::mem::take(&mut state.stored);
        for cpu in &mut state.cpus {
            for (word, cached) in std::mem::take(&mut cpu.tlb.pending) {
                match cached {
                    _ if !stored.contains(&word) => false,
                    Cached::Page(page) => cpu.tlb.add(Some(page), &[]),
                    Cached::Upper(upper) => cpu.tlb.add(None, &[upper]),
                };
            }
        }
    }

    /// An access at CPL 3.
    pub(crate) fn user_call(
        &self,
        state: &mut State,
        cpu: usize,
        call: Hypercall,
        pick: usize,
    ) -> Result<Called, Stopped> {
        let access = Self::user_access(state, cpu, call);
        let access = access.filter(|access| access.va >> 63 == 0 && self.program.tables.is_some());
        let access = access.ok_or(Stopped::NoRule("such a user access"))?;
        if state.cpus[cpu].fenced > 0 && !access.write {
            return Ok(Called::Waits);
        }
        let at = match state.cpus[cpu].top().translated {
            Some(at) => at,
            None => match self.results(state, cpu, access).swap_remove(pick) {
                Ok((at, updates)) => match self.reached(state, cpu, at, updates)? {
                    Some(at) => at,
                    None => return Ok(Called::Translated),
                },
                Err((vector, code)) => {
                    if vector == 14 {
                        faulted(&mut state.cpus[cpu], access);
                    }
                    return Ok(Called::Done(u64::from(vector) << 32 | code));
                }
            },
        };
        let (width, third) = (Self::reg(state, cpu, RSI) as u8, Self::reg(state, cpu, RDX));
        match call {
            Hypercall::UserRead => {
                if self.word(third).is_none() {
                    return Err(Stopped::NoRule("a value that has no place"));
                }
                let Some(value) = self.read(state, cpu, at, width)? else {
                    return Ok(Called::Waits);
                };
                self.store(state, cpu, third, 8, value, false)?;
            }
            Hypercall::UserWrite => self.store(state, cpu, at, width, third, true)?,
            _ => {}
        }
        state.cpus[cpu].top_mut().translated = None;
        Ok(Called::Done(0))
    }

    /// A frame becomes free.
    pub(crate) fn free(&self, state: &mut State, cpu: usize, pa: u64) -> Result<(), Stopped> {
        let first = pa.wrapping_sub(HEAP_PHYS).wrapping_add(HEAP_BASE);
        if !self.is_frame(first) {
            return Err(Stopped::NoRule("no frame"));
        }
        if state.freed.contains(&pa) {
            return Err(Stopped::Bad(Bad::Failed("freed-twice".into())));
        }
        let on_its_way = |(other, of): (usize, &Cpu)| {
            let to_it = |va: u64| (first..first + 4096).contains(&va);
            other != cpu && of.buffer.iter().any(|store| store.user && to_it(store.va))
        };
        if state.cpus.iter().enumerate().any(on_its_way) {
            return Err(Stopped::Bad(Bad::Failed("freed-frame".into())));
        }
        let at = state.freed.partition_point(|other| *other < pa);
        state.freed.insert(at, pa);
        Ok(())
    }

    /// What drops what: SDM vol. 3 §4.10.4.1. All but the reads serialise.
    pub(crate) fn control(&self, state: &mut State, cpu: usize, op: Op) -> Result<bool, Stopped> {
        if let Op::FromCr(reg, number) = op {
            let value = match number {
                2 => state.cpus[cpu].cr2,
                3 => state.cpus[cpu].cr3,
                4 => state.cpus[cpu].cr4,
                _ => return Err(Stopped::NoRule("that control register")),
            };
            state.cpus[cpu].top_mut().set(reg, 8, value);
            return Ok(true);
        }
        if !state.cpus[cpu].buffer.is_empty() {
            return Ok(false);
        }
        match op {
            Op::Invlpg(reg) => {
                let va = Self::reg(state, cpu, reg);
                invlpg(&mut state.cpus[cpu], va);
            }
            Op::Invpcid(reg, place) => {
                let kind = Self::reg(state, cpu, reg);
                let at = self.named(state, cpu, place);
                let of = self.read(state, cpu, at, 8)?.unwrap_or(0);
                let va = self.read(state, cpu, at + 8, 8)?.unwrap_or(0);
                invpcid(&mut state.cpus[cpu], kind, of, va)?;
            }
            Op::ToCr(2, reg) => state.cpus[cpu].cr2 = Self::reg(state, cpu, reg),
            Op::ToCr(3, reg) => {
                let value = Self::reg(state, cpu, reg);
                let cpu = &mut state.cpus[cpu];
                cpu.cr3 = value & !NO_FLUSH;
                let new = pcid(cpu);
                if value & NO_FLUSH == 0 {
                    cpu.tlb.drop(|page| page.pcid == Some(new), |upper| upper.pcid == new);
                }
            }
            Op::ToCr(4, reg) => {
                let value = Self::reg(state, cpu, reg);
                let cpu = &mut state.cpus[cpu];
                let (now, changed) = (pcid(cpu), value ^ cpu.cr4);
                if changed & !(PGE | SMEP) != 0 {
                    return Err(Stopped::NoRule("that bit of CR4"));
                }
                cpu.cr4 = value;
                if changed & PGE != 0 {
                    cpu.tlb.drop(|_| true, |_| true);
                }
                if changed & value & SMEP != 0 {
                    cpu.tlb.drop(|page| page.pcid == Some(now), |upper| upper.pcid == now);
                }
            }
            Op::Store(..) | Op::Load(_, _, Place::Data(_)) => {}
            _ => return Err(Stopped::NoRule("that control register")),
        }
        Ok(true)
    }
}

fn invlpg(cpu: &mut Cpu, va: u64) {
    // LAM does not mask its operand, and one that is not canonical does nothing.
    if canonical(va).is_none() {
        return;
    }
    let now = pcid(cpu);
    let ours = |page: &Page| page.pcid.is_none_or(|of| of == now);
    cpu.tlb.drop(|page| page.page == va >> 12 && ours(page), |upper| upper.pcid == now);
}

fn invpcid(cpu: &mut Cpu, kind: u64, of: u64, va: u64) -> Result<(), Stopped> {
    if kind > 3 || of >> 12 != 0 || kind == 0 && canonical(va).is_none() {
        return Err(Stopped::Bad(Bad::Fault(13)));
    }
    match kind {
        0 => cpu.tlb.drop(
            |page| page.page == va >> 12 && page.pcid == Some(of),
            |upper| upper.pcid == of && upper.prefix == prefix(va, upper.level),
        ),
        1 => cpu.tlb.drop(|page| page.pcid == Some(of), |upper| upper.pcid == of),
        2 => cpu.tlb.drop(|_| true, |_| true),
        _ => cpu.tlb.drop(|page| page.pcid.is_some(), |_| true),
    }
    Ok(())
}

/// A page fault drops what led to it (SDM vol. 3 §4.10.4.1), and sets CR2.
fn faulted(cpu: &mut Cpu, access: Access) {
    let va = if access.fetch { access.va } else { masked(cpu.cr3, access.va) };
    cpu.cr2 = va;
    let now = pcid(cpu);
    // Of global ones the manual says only that the fault does not come again if memory does not justify it:
    // those that forbid this access go.
    cpu.tlb.drop(
        |page| {
            page.page == va >> 12 && page.pcid.map_or(!access.allowed(page.rights), |of| of == now)
        },
        |upper| upper.pcid == now && upper.prefix == prefix(va, upper.level),
    );
}

fn pcid(cpu: &Cpu) -> u64 {
    cpu.cr3 & 0xfff
}

/// Where `va` is in the direct map.
fn at(page: &Page, va: u64) -> u64 {
    page.frame - HEAP_PHYS + HEAP_BASE + (va & 0xfff)
}

/// Where a walk for `va` may start: at the root, and where the paging-structure caches lead.
fn starts(cpu: &Cpu, va: u64) -> Vec<Upper> {
    let now = pcid(cpu);
    let table = cpu.cr3 & ADDRESS;
    let root = Upper { pcid: now, level: 4, prefix: 0, table, rights: ALL };
    let cached = cpu.tlb.uppers.iter().copied();
    let cached =
        cached.filter(|upper| upper.pcid == now && upper.prefix == prefix(va, upper.level));
    std::iter::once(root).chain(cached).collect()
}

/// LAM for a user pointer: check and mask in one, as bit 63 is put back (LAM §7.2).
fn masked(cr3: u64, va: u64) -> u64 {
    let extended = |bit: u32| {
        let shift = 63 - bit;
        ((va << shift).cast_signed() >> shift).cast_unsigned() & !(1 << 63) | va & 1 << 63
    };
    match cr3 {
        _ if cr3 & LAM_U57 != 0 => extended(56),
        _ if cr3 & LAM_U48 != 0 => extended(47),
        _ => va,
    }
}

/// The address, if bits 63:47 are equal: 4-level paging.
fn canonical(va: u64) -> Option<u64> {
    matches!(va >> 47, 0 | 0x1_ffff).then_some(va)
}
