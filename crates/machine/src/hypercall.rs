//! What a guest asks of the machine.

use abi::hypercall::{FAILURE_WORDS, Hypercall};
use abi::layout::{FIRST_VECTOR, MAX_CPUS};
use interrupts::NMI;
use mmu::Kind;
use x86::{R8, R9, RAX, RCX, RDI, RDX, RSI, RSP, Regs};

use crate::agent::Agent;
use crate::apic::{Message, Sending};
use crate::cpu::System;
use crate::exec::{Accesses, Exec, Stop};
use crate::halt::{Failure, Misuse, Violation};
use crate::layout::{self, Want};
use crate::look::Look;
use crate::next::NextOperation;
use crate::registered::{Entry, Handler, Named, NmiHandler, Registered};
use crate::watch::{Access, Flow, Watch};
use crate::word::Part;

/// How a hypercall ends, other than by returning to the guest.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Return this in RAX.
    Done(u64),
    /// Stand before `choose` among this many.
    Choose(u16),
    /// Discard the run.
    Discard,
    /// A property is violated.
    Fail(Box<Violation>),
    /// The call makes no sense.
    Wrong(Misuse),
    /// The entry that Lamprey called has returned.
    Returned,
}

/// What a hypercall may see besides the agent's own.
pub(crate) struct Context<'a> {
    pub(crate) registered: &'a mut Registered,
    /// The set-up is running.
    pub(crate) setup: bool,
    /// Every CPU as it was when this step began; this CPU knows better about itself.
    pub(crate) others: &'a [Look],
    /// The alternative taken at the `choose` it stood before.
    pub(crate) pick: Option<u16>,
}

const LONGEST_TEXT: u64 = 1 << 16;
/// Vectors that can have a handler.
const MOST_VECTORS: usize = 64;

impl<A: Accesses, W: Watch> Exec<'_, A, W> {
    /// Acts on `call`. `Err` leaves the call to be made again.
    pub(crate) fn hypercall(
        &mut self,
        call: Hypercall,
        regs: &Regs,
        context: &mut Context<'_>,
    ) -> Result<Outcome, Stop> {
        let [a, b, c, d] = [regs.gpr[RDI], regs.gpr[RSI], regs.gpr[RDX], regs.gpr[RCX]];
        let (e, f) = (regs.gpr[R8], regs.gpr[R9]);
        let done = |value| Ok(Outcome::Done(value));
        match call {
            Hypercall::Cpu
            | Hypercall::Always
            | Hypercall::Finally
            | Hypercall::Handler
            | Hypercall::RawHandler
            | Hypercall::Nmi
            | Hypercall::RawNmi
            | Hypercall::PageTables
            | Hypercall::FixedClock => self.register(call, [a, b, c], context),
            Hypercall::Name | Hypercall::NameValue | Hypercall::NameRoot => {
                self.name(call, [a, b, c, d, e, f], context)
            }
            Hypercall::SendIpi => self.send_ipi(a, b),
            Hypercall::SendNmi => self.send_nmi(a),
            Hypercall::ThisCpu => done(u64::from(self.agent.cpu())),
            Hypercall::Assume if a != 0 => done(0),
            Hypercall::Assume => self.discard(),
            Hypercall::Choose => Ok(self.choose(a, context.pick.take())),
            Hypercall::Mark => {
                let text = self.text(a, b)?;
                self.report_always(Access::Mark(text));
                done(0)
            }
            Hypercall::Note => {
                // Read even if nobody listens: what is told of a run is read in the search, too.
                let text = self.text(a, b)?;
                self.report(Access::Note(text));
                done(0)
            }
            Hypercall::Alloc => Ok(self.allocate(a, b)),
            Hypercall::Cr3 | Hypercall::Cr4 | Hypercall::InterruptsOn => {
                self.look_at(call, a, regs, context.setup, context.others)
            }
            Hypercall::UserRead => self.user(a, b, c, Kind::Read),
            Hypercall::UserWrite => self.user(a, b, c, Kind::Write),
            Hypercall::UserExecute => self.user_execute(a),
            Hypercall::FrameFree => Ok(match self.free_frame(a)? {
                Ok(()) => Outcome::Done(0),
                Err(what) => misuse(call, what),
            }),
            Hypercall::Fail => {
                let failure = Box::new(self.failure(a)?);
                Ok(Outcome::Fail(Box::new(Violation::Failure(failure))))
            }
            Hypercall::Return => self.entry_returns(regs),
        }
    }

    /// Discarding a run is visible to all: what others did before it counts, so they come first too.
    fn discard(&mut self) -> Result<Outcome, Stop> {
        if self.fixed.alone || self.step.credit {
            return Ok(Outcome::Discard);
        }
        self.step.pending = NextOperation::irreducible(self.insn.rip, &[]);
        Err(Stop::Yield)
    }

    /// IRET of a handler turns interrupts on again. A thread has to do that itself: what follows the code
    /// that was checked would run with interrupts off.
    fn entry_returns(&mut self, regs: &Regs) -> Result<Outcome, Stop> {
        if self.agent.level() > 0 {
            self.drain()?;
        }
        if self.fixed.setup {
            self.setup_ends(regs)?;
        }
        if !self.fixed.alone && regs.rflags & x86::flags::IF == 0 {
            if self.agent.level() == 0 {
                return Ok(Outcome::Fail(Box::new(Violation::InterruptsOff)));
            }
            self.part_of_cpu(Part::InterruptFlag, true)?;
            self.system.latch.clear();
        }
        Ok(Outcome::Returned)
    }

    fn register(
        &mut self,
        call: Hypercall,
        [a, b, c]: [u64; 3],
        context: &mut Context<'_>,
    ) -> Result<Outcome, Stop> {
        if !context.setup {
            return Ok(misuse(call, "is for the set-up only"));
        }
        let registered = &mut *context.registered;
        match call {
            Hypercall::Cpu => {
                let slot = usize::try_from(a).ok().and_then(|cpu| registered.cpus.get_mut(cpu));
                match slot {
                    None => {
                        let what = format!("was given CPU {a}; the CPUs are 0 to {}", MAX_CPUS - 1);
                        return Ok(misuse(call, &what));
                    }
                    Some(Some(_)) => {
                        return Ok(misuse(call, &format!("was called twice for CPU {a}")));
                    }
                    Some(slot) => *slot = Some(Entry { function: b, data: c }),
                }
            }
            Hypercall::Handler | Hypercall::RawHandler => {
                let raw = call == Hypercall::RawHandler;
                let entry = Entry { function: b, data: if raw { 0 } else { c } };
                if let Err(what) = register_handler(registered, a, entry, raw) {
                    return Ok(misuse(call, &what));
                }
            }
            Hypercall::Nmi | Hypercall::RawNmi => {
                let raw = call == Hypercall::RawNmi;
                let entry = Entry { function: b, data: if raw { 0 } else { c } };
                let handler = Handler { vector: NMI, entry, raw };
                if registered.nmi.replace(NmiHandler { handler, budget: a }).is_some() {
                    return Ok(misuse(call, "was called twice, or with lamprey::nmi"));
                }
            }
            Hypercall::FixedClock => registered.clock = Some(a),
            Hypercall::PageTables => {
                if !matches!(a, 4 | 5) {
                    return Ok(misuse(call, &format!("takes 4 or 5 levels, not {a}")));
                }
                registered.page_tables = true;
                self.fixed.paged = true;
                if a == 5 {
                    self.system.cr4 |= mmu::bits::CR4_LA57;
                }
            }
            Hypercall::Always => registered.always.push(Entry { function: a, data: b }),
            _ => registered.finally.push(Entry { function: a, data: b }),
        }
        Ok(Outcome::Done(0))
    }

    fn name(
        &mut self,
        call: Hypercall,
        [a, b, c, d, e, f]: [u64; 6],
        context: &mut Context<'_>,
    ) -> Result<Outcome, Stop> {
        if !context.setup {
            return Ok(misuse(call, "is for the set-up only"));
        }
        match call {
            Hypercall::Name => {
                let (name, type_name) = (self.text(c, d)?, self.text(e, f)?);
                context.registered.objects.push(Named { va: a, size: b, name, type_name });
            }
            Hypercall::NameValue => {
                let name = self.text(b, c)?;
                context.registered.values.push((a, name));
            }
            _ => {
                let name = self.text(b, c)?;
                context.registered.roots.push((a, name));
            }
        }
        Ok(Outcome::Done(0))
    }

    fn send_ipi(&mut self, to: u64, vector: u64) -> Result<Outcome, Stop> {
        if self.agent == Agent::OBSERVER {
            return Ok(misuse(Hypercall::SendIpi, "is not for set-up and checks"));
        }
        let handled =
            u8::try_from(vector).ok().filter(|vector| self.fixed.apic.rank(*vector).is_some());
        let Some(to) = self.fixed.apic.cpu(to) else {
            return Ok(misuse(Hypercall::SendIpi, &no_cpu(to)));
        };
        let Some(vector) = handled else {
            let what = format!("was given vector {vector}, for which there is no handler");
            return Ok(misuse(Hypercall::SendIpi, &what));
        };
        self.drain()?;
        self.send(Sending { message: Message::Fixed(vector), to, at_once: false })?;
        Ok(Outcome::Done(0))
    }

    fn send_nmi(&mut self, to: u64) -> Result<Outcome, Stop> {
        if self.agent == Agent::OBSERVER {
            return Ok(misuse(Hypercall::SendNmi, "is not for set-up and checks"));
        }
        let Some(to) = self.fixed.apic.cpu(to) else {
            return Ok(misuse(Hypercall::SendNmi, &no_cpu(to)));
        };
        if !self.fixed.apic.nmi() {
            let what = "was called, and there is no handler for NMIs; add lamprey::nmi";
            return Ok(misuse(Hypercall::SendNmi, what));
        }
        self.drain()?;
        self.send(Sending { message: Message::Nmi, to, at_once: false })?;
        Ok(Outcome::Done(0))
    }

    fn choose(&mut self, of: u64, pick: Option<u16>) -> Outcome {
        let Some(of) = u16::try_from(of).ok().filter(|of| *of > 0) else {
            let what = format!("was asked to choose among {of}; it can be 1 to {}", u16::MAX);
            return misuse(Hypercall::Choose, &what);
        };
        match pick {
            Some(picked) => {
                self.report(Access::Choose { of, picked });
                Outcome::Done(u64::from(picked))
            }
            None => Outcome::Choose(of),
        }
    }

    fn allocate(&mut self, size: u64, align: u64) -> Outcome {
        if !align.is_power_of_two() {
            let what = format!("was given the alignment {align}, which is not a power of two");
            return misuse(Hypercall::Alloc, &what);
        }
        let (place, end) = arena(self.system, self.agent);
        let start = place.checked_next_multiple_of(align);
        let after = start.and_then(|start| start.checked_add(size));
        match start.zip(after).filter(|(_, after)| *after <= end) {
            Some((start, after)) => {
                *arena(self.system, self.agent).0 = after;
                Outcome::Done(start)
            }
            None => {
                let what = format!(
                    "was asked for {size} bytes aligned to {align}, and not so many are left (of 1 MiB in \
                     set-up, 16 KiB per CPU)"
                );
                misuse(Hypercall::Alloc, &what)
            }
        }
    }

    fn look_at(
        &mut self,
        call: Hypercall,
        cpu: u64,
        regs: &Regs,
        setup: bool,
        others: &[Look],
    ) -> Result<Outcome, Stop> {
        let slot = usize::try_from(cpu).ok().and_then(|cpu| others.get(cpu));
        let (Some(look), Ok(of)) = (slot, u8::try_from(cpu)) else {
            return Ok(misuse(call, &no_cpu(cpu)));
        };
        // Set-up is CPU 0; checks only look on.
        let own = of == self.agent.cpu() && (setup || self.agent != Agent::OBSERVER);
        let (part, value) = match call {
            Hypercall::Cr3 => (Part::Cr3, if own { self.system.cr3 } else { look.cr3 }),
            Hypercall::Cr4 => (Part::Cr4, if own { self.system.cr4 } else { look.cr4 }),
            _ => {
                let own_flag = regs.rflags & x86::flags::IF != 0;
                let value = if own { own_flag } else { look.interrupts_on };
                (Part::InterruptFlag, u64::from(value))
            }
        };
        self.part_of(of, part, false)?;
        Ok(Outcome::Done(value))
    }

    fn failure(&mut self, va: u64) -> Result<Failure, Stop> {
        let mut words = [0u64; FAILURE_WORDS];
        for (offset, word) in (0u64..).zip(&mut words) {
            *word = self.peek(va.wrapping_add(offset * 8), 8)?;
        }
        let [p, pl, s, sl, e, el, f, fl, file, file_length, line] = words;
        Ok(Failure {
            property: self.text(p, pl)?,
            sentence: self.text(s, sl)?,
            expected: self.text(e, el)?,
            found: self.text(f, fl)?,
            file: self.text(file, file_length)?,
            line,
        })
    }

    /// RAX gets the result, and the call returns to its caller.
    pub(crate) fn finish_call(&mut self, regs: &mut Regs, result: u64) -> Result<(), Stop> {
        regs.rip = self.peek(regs.gpr[RSP], 8)?;
        regs.gpr[RSP] = regs.gpr[RSP].wrapping_add(8);
        regs.gpr[RAX] = result;
        self.retire();
        if W::ON {
            self.watch.retired(self.agent, self.insn.rip, Flow::Return, regs.gpr[RSP]);
        }
        Ok(())
    }

    /// Reads without being seen: arguments of a hypercall are no accesses of the guest.
    fn peek(&mut self, va: u64, size: u8) -> Result<u64, Stop> {
        let Some(location) = self.layout.kernel(va, size, Want::Read) else {
            let what = format!("a hypercall argument at {va:#x} is not mapped");
            return Err(Stop::Unmodelled(what));
        };
        self.is_read(location, size);
        let value = self.memory.load(location, size);
        Ok(self.system.buffer.overlay(location, size, value))
    }

    fn text(&mut self, va: u64, length: u64) -> Result<String, Stop> {
        if length > LONGEST_TEXT {
            return Err(Stop::Unmodelled(format!("a text of {length} bytes in a hypercall")));
        }
        let bytes: Result<Vec<u8>, Stop> = (0..length)
            .map(|offset| self.peek(va + offset, 1))
            .map(|byte| byte.map(|byte| u8::try_from(byte).expect("one byte")))
            .collect();
        Ok(String::from_utf8_lossy(&bytes?).into_owned())
    }

    /// Marks are wanted from every run, not only from watched ones.
    pub(crate) fn report_always(&mut self, access: Access) {
        self.watch.seen(crate::watch::Seen { agent: self.agent, rip: self.insn.rip, access });
    }
}

/// The agent's place to allocate and the end of it.
fn arena(system: &mut System, agent: Agent) -> (&mut u64, u64) {
    let end = if agent == Agent::OBSERVER { layout::SETUP_ARENA.1 } else { layout::arena(agent).1 };
    // An NMI within an NMI has the arena of that, as it has its stack.
    let level = agent.level().min(system.arenas.len() - 1);
    (&mut system.arenas[level], end)
}

/// Takes note of a handler; `Err` says what is wrong with its vector.
fn register_handler(
    registered: &mut Registered,
    vector: u64,
    entry: Entry,
    raw: bool,
) -> Result<(), String> {
    let handlers = &mut registered.handlers;
    let Ok(vector) = u8::try_from(vector) else {
        return Err(format!("was given vector {vector}; the last one is 255"));
    };
    if vector < FIRST_VECTOR {
        return Err(format!("was given vector {vector}; the first one is {FIRST_VECTOR}"));
    }
    if handlers.iter().any(|handler| handler.vector == vector) {
        return Err(format!("was called twice for vector {vector}"));
    }
    if handlers.len() == MOST_VECTORS {
        return Err(format!(
            "was given vector {vector}, one more than the {MOST_VECTORS} there can be"
        ));
    }
    handlers.push(Handler { vector, entry, raw });
    handlers.sort_by_key(|handler| handler.vector);
    Ok(())
}

/// What is said of a number that is no CPU's.
fn no_cpu(number: u64) -> String {
    format!("was given CPU {number}, which the scenario does not have")
}

/// The scenario itself is wrong: no verdict on the code it runs follows.
pub(crate) fn misuse(call: Hypercall, what: &str) -> Outcome {
    Outcome::Wrong(Misuse { call, what: what.into() })
}
