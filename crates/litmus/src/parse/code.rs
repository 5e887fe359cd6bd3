//! The program: columns of AT&T instructions.

use std::collections::HashMap;

use iced_x86::{Code, Instruction, MemoryOperand, Mnemonic, Register};

use super::operands::{self, NO_RSP, Name, Operand};
use super::{Parser, thread_number};
use crate::source::ParseError;
use crate::test::{MAX_THREADS, Thread, address};

/// Labels of a thread, and the branches to them.
#[derive(Default)]
struct Labels<'t> {
    /// The instruction that follows the label.
    places: HashMap<&'t str, usize>,
    /// Branch, its label, and the token that names it.
    uses: Vec<(usize, &'t str, usize)>,
}

/// An operand and what is known of it beside its form.
struct Told {
    operand: Operand,
    /// Width in bytes, of a register.
    bytes: Option<u8>,
    /// The location it accesses, as far as that is known.
    location: Option<usize>,
}

impl<'t> Parser<'_, 't> {
    pub(super) fn program(&mut self) -> Result<(), ParseError> {
        let columns = self.columns()?;
        let mut labels: Vec<Labels<'t>> = Vec::new();
        labels.resize_with(columns, Labels::default);
        while !self.is_condition() {
            for column in 0..columns {
                self.cell(column, &mut labels[column])?;
                let end = if column + 1 == columns { ";" } else { "|" };
                if !self.accept(end) {
                    let cells = format!("after the instruction of P{column}");
                    return Err(self.wanted(&format!("`{end}`"), &cells));
                }
            }
        }
        for (thread, labels) in self.threads.iter_mut().zip(labels) {
            for (branch, label, token) in labels.uses {
                let Some(place) = labels.places.get(label) else {
                    let at = self.tokens[token].at.clone();
                    return Err(self.source.error(at, format!("there is no label `{label}`")));
                };
                let target = u64::try_from(place + 1).expect("few instructions");
                thread.code[branch].set_near_branch64(target);
            }
        }
        Ok(())
    }

    /// `P0 | P1 ;`
    fn columns(&mut self) -> Result<usize, ParseError> {
        let mut columns = 0;
        self.accept(";");
        let first = self.at;
        loop {
            let word = self.peek();
            if thread_number(word).map(usize::from) != Some(columns) || !word.starts_with('P') {
                return Err(self.wanted(&format!("`P{columns}`"), "at the top of the program"));
            }
            if columns == MAX_THREADS {
                return Err(self.error(format!("a test has at most {MAX_THREADS} threads")));
            }
            self.at += 1;
            columns += 1;
            if !self.accept("|") {
                break;
            }
        }
        self.expect(";", "after the threads")?;
        if self.threads.len() > columns {
            let unknown = self.threads.len() - 1;
            let message = format!("the initial state names P{unknown}, which is not here");
            return Err(self.source.error(self.since(first), message));
        }
        self.threads.resize_with(columns, || Thread { registers: Vec::new(), code: Vec::new() });
        Ok(columns)
    }

    /// Labels, then at most one instruction.
    fn cell(&mut self, thread: usize, labels: &mut Labels<'t>) -> Result<(), ParseError> {
        while self.ahead(1) == ":" {
            let label = self.peek();
            let next = self.threads[thread].code.len();
            if labels.places.insert(label, next).is_some() {
                return Err(self.error(format!("P{thread} has two labels `{label}`")));
            }
            self.at += 2;
        }
        if matches!(self.peek(), "|" | ";" | "") {
            return Ok(());
        }
        let mut instruction = self.instruction(thread, labels)?;
        let number = self.threads[thread].code.len() + 1;
        instruction.set_ip(u64::try_from(number).expect("few instructions"));
        self.threads[thread].code.push(instruction);
        Ok(())
    }

    fn instruction(
        &mut self,
        thread: usize,
        labels: &mut Labels<'t>,
    ) -> Result<Instruction, ParseError> {
        let first = self.at;
        let locked = self.peek().eq_ignore_ascii_case("lock");
        if locked {
            self.at += 1;
            self.accept(";");
        }
        let word = self.peek();
        let Some(name) = operands::name(&word.to_ascii_lowercase()) else {
            return Err(self.unknown(word));
        };
        self.at += 1;
        let mut instruction = match name {
            Name::Plain(code) => operands::plain(code),
            Name::Branch(code) => self.branch(code, thread, labels)?,
            Name::Sized(mnemonic, bytes) => self.sized(mnemonic, bytes, thread, first)?,
        };
        if locked {
            let lockable = instruction.code().op_code().can_use_lock_prefix()
                && instruction.op0_kind() == iced_x86::OpKind::Memory;
            if !lockable {
                let message = "the LOCK prefix needs a read-modify-write of memory";
                return Err(self.source.error(self.since(first), message));
            }
            instruction.set_has_lock_prefix(true);
        }
        Ok(instruction)
    }

    fn unknown(&self, word: &str) -> ParseError {
        if !Self::is_name(word) {
            return self.wanted("an instruction", "here");
        }
        let why = match word.to_ascii_lowercase() {
            name if name.starts_with("movnt") => ": non-temporal stores are not modelled",
            _ => "",
        };
        self.error(format!("the instruction `{word}` is not supported{why}"))
    }

    fn branch(
        &mut self,
        code: Code,
        thread: usize,
        labels: &mut Labels<'t>,
    ) -> Result<Instruction, ParseError> {
        let label = self.peek();
        if !Self::is_name(label) {
            return Err(self.wanted("a label", "after the branch"));
        }
        labels.uses.push((self.threads[thread].code.len(), label, self.at));
        self.at += 1;
        Ok(Instruction::with_branch(code, 0).expect("a form of a branch"))
    }

    /// An instruction with operands, the last of which AT&T writes the destination.
    fn sized(
        &mut self,
        mnemonic: Mnemonic,
        suffix: Option<u8>,
        thread: usize,
        first: usize,
    ) -> Result<Instruction, ParseError> {
        let mut told = vec![self.operand(thread)?];
        while self.accept(",") {
            told.push(self.operand(thread)?);
        }
        let here = self.since(first);
        let width = suffix.or_else(|| told.iter().rev().find_map(|told| told.bytes));
        let width = width.or_else(|| {
            let location = told.iter().find_map(|told| told.location)?;
            self.locations[location].shape.map(|shape| shape.bytes)
        });
        let Some(bytes) = width else {
            let message = "the width is not known; write it as a suffix: b, w, l or q";
            return Err(self.source.error(here, message));
        };
        if mnemonic != Mnemonic::Lea {
            for location in told.iter().filter_map(|told| told.location) {
                let known = &mut self.locations[location];
                known.widest = known.widest.max(bytes);
            }
        }
        told.reverse();
        let mut operands: Vec<Operand> = told.into_iter().map(|told| told.operand).collect();
        let either_way = matches!(mnemonic, Mnemonic::Xchg | Mnemonic::Test);
        if either_way && matches!(operands[..], [Operand::Register(_), Operand::Memory(_)]) {
            operands.swap(0, 1);
        }
        operands::instruction(mnemonic, bytes, &operands).ok_or_else(|| {
            let bits = 8 * u32::from(bytes);
            let message = format!("no {bits}-bit form of this instruction takes these operands");
            self.source.error(here, message)
        })
    }

    fn operand(&mut self, thread: usize) -> Result<Told, ParseError> {
        match self.peek() {
            "%" => {
                let register = self.register()?;
                let bytes = u8::try_from(register.size()).ok();
                Ok(Told { operand: Operand::Register(register), bytes, location: None })
            }
            "$" => {
                self.at += 1;
                let word = self.peek();
                let value = if Self::is_name(word) {
                    let location = self.location(word)?;
                    self.at += 1;
                    address(location)
                } else {
                    self.number("after `$`")?
                };
                Ok(immediate(value))
            }
            "(" | "[" => self.memory(thread, 0, None),
            word if Self::is_name(word) => {
                if !matches!(self.ahead(1), "(" | "[") {
                    let message = format!("a location is written `({word})`");
                    return Err(self.error(message));
                }
                let location = self.location(word)?;
                self.at += 1;
                self.memory(thread, 0, Some(location))
            }
            _ => {
                let value = self.number("as an operand")?;
                match self.peek() {
                    "(" | "[" => self.memory(thread, value, None),
                    _ => Ok(immediate(value)),
                }
            }
        }
    }

    fn register(&mut self) -> Result<Register, ParseError> {
        self.expect("%", "before the register")?;
        let word = self.peek();
        let register = operands::register(&word.to_ascii_lowercase())
            .ok_or_else(|| self.error(format!("`{word}` is no general-purpose register")))?;
        if register.full_register() == Register::RSP {
            return Err(self.error(NO_RSP));
        }
        self.at += 1;
        Ok(register)
    }

    /// What is in the brackets of a memory operand: `x`, `%rip`, or base, index and scale.
    fn memory(
        &mut self,
        thread: usize,
        displacement: u64,
        mut location: Option<usize>,
    ) -> Result<Told, ParseError> {
        let first = self.at;
        let close = if self.next() == "(" { ")" } else { "]" };
        let (mut base, mut index, mut scale) = (Register::None, Register::None, 1);
        if Self::is_name(self.peek()) && location.is_none() {
            location = Some(self.location(self.peek())?);
            self.at += 1;
        } else if self.peek() == "%" && self.ahead(1).eq_ignore_ascii_case("rip") {
            self.at += 2;
            if location.is_none() {
                return Err(self
                    .source
                    .error(self.since(first), "%rip needs a location before it"));
            }
        } else {
            if self.peek() == "%" {
                base = self.register()?;
            }
            if self.accept(",") {
                index = self.register()?;
                if self.accept(",") {
                    scale = match self.next() {
                        "1" => 1,
                        "2" => 2,
                        "4" => 4,
                        "8" => 8,
                        _ => {
                            self.at -= 1;
                            return Err(self.error("the scale is 1, 2, 4 or 8"));
                        }
                    };
                }
            }
        }
        self.expect(close, "to close the memory operand")?;
        if [base, index].iter().any(|register| *register != Register::None && !register.is_gpr64())
        {
            let message = "addresses are 64 bits wide: base and index must be, too";
            return Err(self.source.error(self.since(first), message));
        }
        let displacement = location.map_or(0, address).wrapping_add(displacement);
        // The bits of the register file and of an address are the same.
        let displacement = i64::from_ne_bytes(displacement.to_ne_bytes());
        if i32::try_from(displacement).is_err() {
            return Err(self
                .source
                .error(self.since(first), "the displacement has more than 32 bits"));
        }
        let size = if base == Register::None && index == Register::None { 8 } else { 1 };
        let memory =
            MemoryOperand::new(base, index, scale, displacement, size, false, Register::None);
        let known = |register: Register| {
            let found = self
                .pointers
                .iter()
                .find(|known| usize::from(known.0) == thread && known.1 == register);
            found.map(|known| known.2)
        };
        let location = location.or_else(|| known(base)).or_else(|| known(index));
        Ok(Told { operand: Operand::Memory(memory), bytes: None, location })
    }
}

fn immediate(value: u64) -> Told {
    let value = i64::from_ne_bytes(value.to_ne_bytes());
    Told { operand: Operand::Immediate(value), bytes: None, location: None }
}
