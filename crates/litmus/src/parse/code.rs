//! The program: columns of instructions.

use std::collections::HashMap;

use iced_x86::{Code, Instruction, MemoryOperand, Mnemonic, Register};

use super::operands::{self, AsmOperand, NO_RSP, Name};
use super::{Dialect, Parser, thread_number};
use crate::source::{ParseError, number};
use crate::test::{DATA, MAX_THREADS, Shape, TestThread};

const SEGMENTS: [&str; 6] = ["cs", "ds", "es", "fs", "gs", "ss"];

/// Error about an instruction that has the destination first in herd, but last in AT&T order.
const TWO_ORDERS: &str = "herd has the destination of this instruction first, AT&T has it last, and with two \
                          registers the order is ambiguous; write the test for X86, where the \
                          destination always comes first, or use memory";

/// Labels of a thread, and the branches to them.
#[derive(Default)]
struct Labels<'t> {
    /// The number of the instruction after each label.
    places: HashMap<&'t str, usize>,
    /// Each branch, its label, and the token that names it.
    uses: Vec<(usize, &'t str, usize)>,
    /// The RET instructions, which are branches to the end.
    returns: Vec<usize>,
}

/// A parsed operand, with its width and the memory it accesses, as far as known.
pub(super) struct ParsedOperand {
    pub(super) operand: AsmOperand,
    /// Width in bytes, for a register.
    pub(super) bytes: Option<u8>,
    /// The location it accesses, as far as that is known.
    pub(super) location: Option<usize>,
    /// The address it accesses, if the address involves no register.
    pub(super) address: Option<u64>,
}

impl ParsedOperand {
    pub(super) fn immediate(value: u64) -> ParsedOperand {
        // The bits of a number and of its two's complement are the same.
        let value = i64::from_ne_bytes(value.to_ne_bytes());
        ParsedOperand {
            operand: AsmOperand::Immediate(value),
            bytes: None,
            location: None,
            address: None,
        }
    }

    pub(super) fn register(register: Register) -> ParsedOperand {
        let bytes = u8::try_from(register.size()).ok();
        ParsedOperand {
            operand: AsmOperand::Register(register),
            bytes,
            location: None,
            address: None,
        }
    }
}

impl<'t> Parser<'_, 't> {
    pub(super) fn program(&mut self) -> Result<(), ParseError> {
        let columns = self.columns()?;
        let mut labels: Vec<Labels<'t>> = Vec::new();
        labels.resize_with(columns, Labels::default);
        while !self.is_condition() {
            for (column, labels) in labels.iter_mut().enumerate() {
                self.cell(column, labels)?;
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
            let end = u64::try_from(thread.code.len() + 1).expect("few instructions");
            labels.returns.iter().for_each(|at| thread.code[*at].set_near_branch64(end));
        }
        Ok(())
    }

    /// Refuses a truncated file, which has nothing after the threads and would satisfy its empty condition.
    pub(super) fn is_whole(&self) -> Result<(), ParseError> {
        if self.peek().is_empty() && self.threads.iter().all(|thread| thread.code.is_empty()) {
            let message =
                "the test has neither instructions nor a condition: the file seems to be truncated";
            return Err(self.error(message));
        }
        Ok(())
    }

    /// Parses the row `P0 | P1 ;` and returns the number of threads.
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
            let message =
                format!("the initial state names P{unknown}, but the program has no such thread");
            return Err(self.source.error(self.since(first), message));
        }
        self.threads
            .resize_with(columns, || TestThread { registers: Vec::new(), code: Vec::new() });
        Ok(columns)
    }

    /// Parses a cell: labels, then at most one instruction.
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
            Name::Return => {
                labels.returns.push(self.threads[thread].code.len());
                operands::branch(Code::Jmp_rel32_64)
            }
            Name::Nop => {
                self.operand_of_nop()?;
                operands::plain(Code::Nopd)
            }
            Name::Flush => self.flush(thread, first)?,
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
            name if name.starts_with("uxch") => {
                ": XCHG with memory is LOCKed, whether it says so or not; write `xchg`"
            }
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
        Ok(operands::branch(code))
    }

    /// Skips the operand of a multi-byte NOP, which is not accessed (SDM vol. 2 NOP). Compilers write it
    /// in many ways.
    fn operand_of_nop(&mut self) -> Result<(), ParseError> {
        while !matches!(self.peek(), "|" | ";" | "") {
            let word = self.peek();
            let is_part = matches!(word, "%" | "(" | ")" | "[" | "]" | "," | ":" | "-" | "+" | "*")
                || number(word).is_some()
                || operands::register(&word.to_ascii_lowercase()).is_some()
                || SEGMENTS.contains(&word);
            if !is_part {
                return Err(self.wanted("the operand of NOP, or nothing,", "here"));
            }
            self.at += 1;
        }
        Ok(())
    }

    /// Parses CLFLUSH, CLFLUSHOPT or CLWB as a NOP. They change no byte that any processor can read, so only
    /// their order against other accesses could be noticed. CLFLUSH is ordered with respect to stores,
    /// LOCKed instructions and fences (SDM vol. 2 CLFLUSH), which are in this order anyway, and nothing
    /// makes a later load wait for it: the manual lets loads pass it. CLFLUSHOPT and CLWB promise less.
    fn flush(&mut self, thread: usize, first: usize) -> Result<Instruction, ParseError> {
        let told = self.operand(thread)?;
        if !matches!(told.operand, AsmOperand::Memory(_)) {
            let message = "a flush needs a memory operand: `(x)`";
            return Err(self.source.error(self.since(first), message));
        }
        self.touches(&told, 1, first)?;
        Ok(operands::plain(Code::Nopd))
    }

    fn operand(&mut self, thread: usize) -> Result<ParsedOperand, ParseError> {
        match self.dialect {
            Dialect::Att => self.att_operand(thread),
            Dialect::Intel => self.intel_operand(thread),
        }
    }

    /// Parses an instruction with operands.
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
        self.destination_first(mnemonic, &mut told, first)?;
        let width = suffix.or_else(|| self.width(mnemonic, &told));
        let Some(bytes) = width else {
            let message = "the width is unknown; write it as a suffix: b, w, l or q";
            return Err(self.source.error(here, message));
        };
        if bytes > 4 && self.dialect == Dialect::Intel {
            let message = "X86 accesses at most 4 bytes; write the test for X86_64";
            return Err(self.source.error(here, message));
        }
        if mnemonic == Mnemonic::Lea {
            if self.dialect == Dialect::Intel {
                let message =
                    "an address has 64 bits, more than X86 can keep; write the test for X86_64";
                return Err(self.source.error(here, message));
            }
        } else {
            told.iter().try_for_each(|told| self.touches(told, bytes, first))?;
        }
        let operands: Vec<AsmOperand> = told.into_iter().map(|told| told.operand).collect();
        operands::instruction(mnemonic, bytes, &operands).ok_or_else(|| {
            let bits = 8 * u32::from(bytes);
            let message = format!("no {bits}-bit form of this instruction takes these operands");
            let reversed: Vec<AsmOperand> = operands.into_iter().rev().collect();
            let is_other = operands::instruction(mnemonic, bytes, &reversed).is_some();
            let hint = if is_other { self.other_order() } else { "" };
            self.source.error(here, message + hint)
        })
    }

    /// Returns a hint for an instruction that is valid in the other dialect.
    pub(super) fn other_order(&self) -> &'static str {
        match self.dialect {
            Dialect::Att => {
                "; a test for `X86_64` is in AT&T order, with the destination last: one in Intel order starts with \
                 `X86 NAME`"
            }
            Dialect::Intel => {
                "; a test for `X86` is in Intel order, with the destination first: one in AT&T order starts with \
                 `X86_64 NAME`"
            }
        }
    }

    /// Puts the operands into the order of the manual. AT&T order is the reverse; for CMPXCHG and
    /// CMOVC herd uses the manual's order for `X86_64`, too, so both orders are accepted if a
    /// memory operand distinguishes them.
    fn destination_first(
        &self,
        mnemonic: Mnemonic,
        told: &mut [ParsedOperand],
        first: usize,
    ) -> Result<(), ParseError> {
        use AsmOperand::{Memory, Register};
        let swapped = |operands: &[ParsedOperand], register_first: bool| match operands {
            [one, two] if register_first => {
                matches!((&one.operand, &two.operand), (Memory(_), Register(_)))
            }
            [one, two] => matches!((&one.operand, &two.operand), (Register(_), Memory(_))),
            _ => false,
        };
        let registers =
            told.len() == 2 && told.iter().all(|told| matches!(told.operand, Register(_)));
        let is_move = operands::is_conditional_move(mnemonic);
        if self.dialect == Dialect::Att {
            match mnemonic {
                // Herd's own order.
                Mnemonic::Cmovb if registers => return Ok(()),
                _ if registers && (is_move || mnemonic == Mnemonic::Cmpxchg) => {
                    return Err(self.source.error(self.since(first), TWO_ORDERS));
                }
                _ => told.reverse(),
            }
            // Only one order is a valid form.
            if is_move && swapped(told, true)
                || mnemonic == Mnemonic::Cmpxchg && swapped(told, false)
            {
                told.swap(0, 1);
            }
        }
        // Both orders are the same.
        if matches!(mnemonic, Mnemonic::Xchg | Mnemonic::Test) && swapped(told, false) {
            told.swap(0, 1);
        }
        Ok(())
    }

    /// Returns the width of an instruction without a suffix, by its operands.
    fn width(&self, mnemonic: Mnemonic, told: &[ParsedOperand]) -> Option<u8> {
        if operands::is_set(mnemonic) {
            return Some(1);
        }
        // The count of a shift does not determine the width.
        let told = if operands::is_shift(mnemonic) { &told[..1] } else { told };
        let register = told.iter().find_map(|told| told.bytes);
        register.or_else(|| {
            let location = told.iter().find_map(|told| told.location);
            let shape = location.map(|location| self.locations[location].shape());
            let default = (self.dialect == Dialect::Intel).then_some(Shape::UNTYPED);
            shape.or(default).map(|shape| shape.bytes)
        })
    }

    /// Records an access of `bytes` bytes, which must stay within its location.
    fn touches(&mut self, told: &ParsedOperand, bytes: u8, first: usize) -> Result<(), ParseError> {
        if !matches!(told.operand, AsmOperand::Memory(_)) {
            return Ok(());
        }
        if let Some(location) = told.location {
            let known = &mut self.locations[location];
            known.widest = known.widest.max(bytes);
        }
        let Some(address) = told.address else { return Ok(()) };
        let end = address.wrapping_add(u64::from(bytes));
        let is_within = self
            .locations
            .iter()
            .any(|known| known.address <= address && end <= known.address + known.bytes());
        if is_within || !DATA.contains(&address) && told.location.is_none() {
            return Ok(());
        }
        let known = told.location.map(|location| &self.locations[location]);
        let (name, size) = known.map_or(("the location", 0), |known| (&known.name, known.bytes()));
        let message = format!(
            "the access leaves `{name}`, which has {size} bytes; declare a wider type or an array"
        );
        Err(self.source.error(self.since(first), message))
    }

    /// Parses a register by its name, without prefix.
    pub(super) fn bare_register(&mut self) -> Result<Register, ParseError> {
        let word = self.peek();
        let register = operands::register(&word.to_ascii_lowercase())
            .ok_or_else(|| self.error(format!("`{word}` is not a general-purpose register")))?;
        self.exists(register)?;
        if register.full_register() == Register::RSP {
            return Err(self.error(NO_RSP));
        }
        self.at += 1;
        Ok(register)
    }

    pub(super) fn scale(&mut self) -> Result<u32, ParseError> {
        let scale = match self.next() {
            "1" => 1,
            "2" => 2,
            "4" => 4,
            "8" => 8,
            _ => {
                self.at -= 1;
                return Err(self.error("the scale is 1, 2, 4 or 8"));
            }
        };
        Ok(scale)
    }

    /// Returns the memory operand with these registers, which starts at token `first`.
    pub(super) fn memory_operand(
        &self,
        thread: usize,
        first: usize,
        (base, index, scale): (Register, Register, u32),
        location: Option<usize>,
        displacement: u64,
    ) -> Result<ParsedOperand, ParseError> {
        if [base, index].iter().any(|register| *register != Register::None && !register.is_gpr64())
        {
            let message = "addresses are 64 bits wide: base and index must be, too";
            return Err(self.source.error(self.since(first), message));
        }
        let start = location.map_or(0, |location| self.locations[location].address);
        let address = start.wrapping_add(displacement);
        let signed = i64::from_ne_bytes(address.to_ne_bytes());
        if i32::try_from(signed).is_err() {
            return Err(self
                .source
                .error(self.since(first), "the displacement has more than 32 bits"));
        }
        let is_fixed = base == Register::None && index == Register::None;
        let size = if is_fixed { 8 } else { 1 };
        let memory = MemoryOperand::new(base, index, scale, signed, size, false, Register::None);
        let known = |register: Register| {
            let found = self
                .pointers
                .iter()
                .find(|known| usize::from(known.0) == thread && known.1 == register);
            found.map(|known| known.2)
        };
        let location = location.or_else(|| known(base)).or_else(|| known(index));
        let address = is_fixed.then_some(address);
        Ok(ParsedOperand { operand: AsmOperand::Memory(memory), bytes: None, location, address })
    }
}
