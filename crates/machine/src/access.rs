//! Loads and stores: linear address to location, and the store buffer on the way.
//!
//! # Stores
//!
//! Under x86-TSO a plain store to a shared word goes into the store buffer, and it is the hardware that
//! makes it visible, in a step of its own. Putting it there concerns nobody else, so it is *no* scheduling
//! point: whatever another agent does between the step's visible operation and the store, it may as well do
//! after the store (the buffer is emptied at the other end), and nothing can keep the store from
//! happening. With one exception: the delivery of an interrupt waits for an empty buffer, and it makes
//! a difference whether the handler runs before the store or after it. So where an interrupt can come
//! in before the instruction, the store is a visible operation on the word [`Part::Buffer`]; and where an
//! invariant looks at what is stored, on the word's [`Word::made`].
//!
//! Only stores to shared words are buffered: nobody else touches the others, so nobody can tell when they
//! become visible, and the CPU reads what it wrote in both cases. Under page tables all stores to the user
//! half are: whoever frees the frame can tell.
//!
//! # How many stores
//!
//! x86-TSO gives the buffer no size, and neither does the manual: code that is right for one size only is wrong.
//! So the buffer grows as the run needs, and every run of x86-TSO is there. A run of finitely many states
//! wants an end all the same: a loop that stores and never drains would fill memory with states that
//! differ in nothing but the length of the buffer. A run that would hold more than [`MOST`] stores is
//! therefore not modelled, and whoever meets it is told so: what is left out is undecided, never absent.
//! The number is several times what any processor holds, so a program that ends before it has been tried
//! with everything that hardware can do.

use abi::layout::HEAP_BASE;
use memory::buffer::{self, Forward, Store};
use mmu::Kind;
use x86::{At, Fault};

use crate::exec::{Accesses, Exec, Stop};
use crate::layout::Want;
use crate::next::Wait;
use crate::walker::UserAccess;
use crate::watch::{Access, Warning, Watch};
use crate::word::{Part, Word};

/// Most stores a buffer holds in a run that is modelled.
const MOST: usize = 1024;

impl<A: Accesses, W: Watch> Exec<'_, A, W> {
    /// Linear address to location, with the rules of the half it is in.
    #[inline]
    pub(crate) fn translate(&mut self, at: At, want: Want) -> Result<u64, Stop> {
        if at.va >> 63 == 1
            && let Some(location) = self.layout.kernel(at.va, at.size, want)
        {
            return Ok(location);
        }
        self.translate_slowly(at, want)
    }

    #[cold]
    fn translate_slowly(&mut self, at: At, want: Want) -> Result<u64, Stop> {
        let user = at.va >> 63 == 0;
        self.insn.several = true;
        if user && self.fixed.paged {
            let kind = if want == Want::Write { Kind::Write } else { Kind::Read };
            let (pointer, size, ac) = (at.va, at.size, self.insn.ac);
            let access = UserAccess { pointer, size, kind, user: false, ac };
            // Load and store of a LOCKed instruction are one access (SDM vol. 3 §8.1.2): one translation.
            let translated = self.insn.locked_place.filter(|(va, _)| at.locked && *va == at.va);
            if let Some((_, location)) = translated {
                return Ok(location);
            }
            // It waits for the store buffer as a whole (SDM vol. 3 §8.2.5), its walk included, as a load does
            // behind an MFENCE: the fault that an entry on its way would spare it does not come.
            if at.locked && !self.is_latched() {
                self.drain()?;
            }
            let result = self.translate_paged(access)?;
            if let Ok(location) = result
                && at.locked
                && want == Want::Write
            {
                self.insn.locked_place = Some((at.va, location));
            }
            return result.map_err(|fault| match fault.vector {
                13 if at.stack => Fault { vector: 12, ..fault }.into(),
                _ => fault.into(),
            });
        }
        if user {
            // Whether a user pointer is legal depends on CR3: a remote change is visible here.
            self.part_of_cpu(Part::Cr3, false)?;
        }
        self.part_of_cpu(Part::Cr4, false)?;
        let check = |va| mmu::lam::data_address(va, self.system.cr3, self.system.cr4);
        let last = at.va.wrapping_add(u64::from(at.size) - 1);
        let (Some(va), Some(_)) = (check(at.va), check(last)) else {
            let vector = if at.stack { 12 } else { 13 };
            return Err(Fault { vector, code: 0, va: 0 }.into());
        };
        let location = if user {
            self.layout.user(va, at.size)
        } else {
            self.layout.kernel(va, at.size, want)
        };
        if let Some(location) = location {
            if user && self.system.paging().smap() && !self.insn.ac {
                return Err(self.page_fault(va, at.size, want));
            }
            return Ok(location);
        }
        if !user && self.layout.kernel(va, at.size, Want::Read).is_none() {
            self.kernel_half(va, at.size)?;
        }
        Err(self.page_fault(va, at.size, want))
    }

    fn page_fault(&mut self, va: u64, size: u8, want: Want) -> Stop {
        let write = u32::from(want == Want::Write);
        let location = self.layout.user(va, size).or(self.layout.kernel(va, size, Want::Read));
        let present = u32::from(location.is_some());
        self.system.cr2 = va;
        Fault { vector: 14, code: write << 1 | present, va }.into()
    }

    /// Loads at most 8 bytes at a location, word by word.
    #[inline]
    pub(crate) fn load_at(&mut self, location: u64, at: At) -> Result<u64, Stop> {
        let offset = location % 8;
        let crosses = offset + u64::from(at.size) > 8;
        self.insn.several |= at.for_write || crosses;
        self.insn.locks_two |= at.locked && crosses;
        let first = self.load_part(location, location / 8, at)?;
        let shift = 8 * offset;
        let mut value = first >> shift;
        if offset + u64::from(at.size) > 8 {
            value |= self.load_part(location, location / 8 + 1, at)? << (64 - shift);
        }
        let value = value & memory::mask(at.size);
        Ok(value)
    }

    /// One whole word of an access.
    #[inline]
    fn load_part(&mut self, location: u64, word: u64, at: At) -> Result<u64, Stop> {
        let name = Word::memory(word * 8);
        let mut forward = Forward::Memory;
        if self.has_stores() {
            forward = self.forward(location, word, at)?;
        }
        let value = match self.part(name, at.locked, at.locked)? {
            Some(value) => value,
            None => {
                let value = match forward {
                    Forward::Value(value) => value,
                    _ => {
                        let (value, dead) = self.memory.word_and_dead(word);
                        if dead != 0 {
                            self.dead_part_is_read(location, word, at.size, dead);
                        }
                        value
                    }
                };
                if W::ON && word == location / 8 {
                    self.report_load(location, name, at, value);
                }
                value
            }
        };
        self.insn.done.push(value);
        Ok(value)
    }

    /// The part of an access of `size` bytes at `location` that is in `word`, of which bytes are dead.
    #[cold]
    fn dead_part_is_read(&mut self, location: u64, word: u64, size: u8, dead: u8) {
        if word == location / 8 {
            self.dead_bytes_are_read(word, location % 8, size, dead);
        } else {
            self.is_read(word * 8, size - u8::try_from(word * 8 - location).expect("at most 7"));
        }
    }

    /// What the store buffer has for a load; the load waits if it can have nothing now.
    #[cold]
    fn forward(&mut self, location: u64, word: u64, at: At) -> Result<Forward, Stop> {
        if self.system.latch.get(self.insn.done.len()).is_some() {
            return Ok(Forward::Memory);
        }
        let name = Word::memory(word * 8);
        if at.locked {
            self.step.pending = self.before(name, true, true);
            return Err(Stop::Yield);
        }
        if self.is_visible(name) {
            self.pass_fence()?;
        }
        let offset = location % 8;
        let bytes = if word == location / 8 {
            buffer::bytes(offset, at.size)
        } else {
            let rest = offset + u64::from(at.size) - 8;
            buffer::bytes(0, u8::try_from(rest).expect("at most 7"))
        };
        let forward = self.system.buffer.forward(word, bytes);
        if forward == Forward::Overlap {
            let pending = self.before(name, false, false);
            self.step.pending = pending.waiting(Wait::Forwarded(word, bytes), self.buffer_word());
            return Err(Stop::Yield);
        }
        Ok(forward)
    }

    #[cold]
    fn report_load(&mut self, location: u64, name: Word, at: At, word: u64) {
        let offset = location % 8;
        let value = if offset + u64::from(at.size) > 8 {
            self.memory.load(location, at.size)
        } else {
            (word >> (8 * offset)) & memory::mask(at.size)
        };
        let shared = self.is_visible(name) || self.is_entry(location);
        self.report(Access::Load { va: at.va, size: at.size, value, shared, locked: at.locked });
    }

    /// Stores at most 8 bytes at a location, word by word.
    #[inline]
    pub(crate) fn store_at(&mut self, location: u64, at: At, value: u64) -> Result<(), Stop> {
        let offset = location % 8;
        let fits = (8 - offset).min(u64::from(at.size));
        let (head, tail) = (fits, u64::from(at.size) - fits);
        if tail > 0 {
            self.insn.several = true;
            self.insn.locks_two |= at.locked;
            // Stopped between the two, it would load again what it has stored (MOVS onto itself).
            let shared = |at| self.is_visible(Word::memory(at));
            self.insn.together = shared(location) || shared(location + head);
        }
        self.store_part(location, head, at, value)?;
        if tail > 0 {
            self.store_part(location + head, tail, at, value >> (8 * head))?;
            self.insn.together = false;
        }
        if at.va < self.step.low_water && at.va >= self.fixed.stack.0 {
            self.step.low_water = at.va;
        }
        if at.va < self.insn.rsp && at.va >= self.fixed.stack.0 {
            self.insn.stored_below = at.va;
        }
        Ok(())
    }

    #[inline]
    fn store_part(&mut self, location: u64, size: u64, at: At, value: u64) -> Result<(), Stop> {
        let size = u8::try_from(size).expect("at most 8");
        let name = Word::memory(location);
        if self.fixed.tso && !at.locked && !self.fixed.alone {
            let paged = self.fixed.paged && at.va >> 63 == 0;
            if paged || self.is_visible(name) || self.is_entry(location) {
                return self.buffer_store(Store { location, size, value, paged }, at);
            }
            if self.insn.together {
                // The other half will be buffered, and an interrupt comes before both or after both. What
                // was loaded before this half must not be loaded again.
                self.notice(&[])?;
                self.insn.visible = true;
            }
        }
        if at.locked && self.has_stores() {
            // XCHG and the like have loaded before, with an empty buffer.
            self.step.pending = self.before(name, true, true);
            return Err(Stop::Yield);
        }
        if self.part(name, true, at.locked)?.is_none() {
            if W::ON {
                self.report_store(Store { location, size, value, paged: false }, at, false);
            }
            let entry = self.is_entry(location);
            if entry {
                self.entry_changes(location);
            }
            self.memory.store(location, size, value);
            if entry {
                self.learn_tables();
            }
        }
        self.insn.done.push(0);
        Ok(())
    }

    /// Puts a store into the store buffer.
    fn buffer_store(&mut self, store: Store, at: At) -> Result<(), Stop> {
        if self.system.latch.get(self.insn.done.len()).is_none() {
            if self.system.buffer.stores().len() >= MOST {
                return Err(Self::too_many_stores());
            }
            self.may_buffer(store)?;
            let made = Word::of_store(store).made().expect("a store goes to memory");
            self.notice(&[(made, true)])?;
            self.insn.visible = true;
            if W::ON {
                self.report_store(store, at, true);
            }
            self.system.buffer.push(store);
        }
        self.insn.done.push(0);
        Ok(())
    }

    #[cold]
    fn too_many_stores() -> Stop {
        Stop::Unmodelled(format!(
            "more than {MOST} stores in a store buffer: a loop that stores and never drains"
        ))
    }

    /// Buffering a store is a visible operation where an interrupt could come before it or an invariant
    /// sees it.
    fn notice(&mut self, made: &[(Word, bool)]) -> Result<(), Stop> {
        // After a visible access of the same instruction no interrupt comes before it is complete.
        let open =
            self.insn.open_to_interrupts && !self.insn.visible && self.system.latch.is_empty();
        let mut touches = made.to_vec();
        touches.extend(open.then_some((self.buffer_word(), true)));
        self.gate(&touches)?;
        self.touch_all(&touches);
        Ok(())
    }

    /// A processor may make the stores of one repeated instruction visible in another order (SDM vol. 3
    /// §8.2.4); here they are seen in theirs.
    #[cold]
    pub(crate) fn warn_of_fast_strings(&mut self) {
        self.report_always(Access::Warning(Warning::FastString));
    }

    #[cold]
    fn report_store(&mut self, store: Store, at: At, buffered: bool) {
        let Store { location, size, value, .. } = store;
        // The second half of a store that crosses two words begins a word.
        let half = if location % 8 == at.va % 8 { 0 } else { 8 - at.va % 8 };
        let access = Access::Store {
            va: at.va.wrapping_add(half),
            size,
            old: self.memory.load(location, size),
            value: value & memory::mask(size),
            shared: self.is_visible(Word::of_store(store)) || self.is_entry(location),
            locked: at.locked,
            buffered,
        };
        self.report(access);
    }
}

const _: () = assert!(HEAP_BASE >> 63 == 1, "the kernel half is told by bit 63");
