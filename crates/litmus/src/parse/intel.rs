//! Operands of `X86`: `$1` or `1`, `EAX`, `[x]`, `[ESI]`, `[x+ECX*4+8]`.

use iced_x86::Register;

use super::Parser;
use super::code::ParsedOperand;
use super::operands;
use crate::source::ParseError;

impl Parser<'_, '_> {
    pub(super) fn intel_operand(&mut self, thread: usize) -> Result<ParsedOperand, ParseError> {
        match self.peek() {
            "[" | "(" => self.intel_memory(thread),
            "%" => {
                let register = self.ahead(1);
                let hint = self.other_order();
                Err(self.error(format!("a register is written `{register}`{hint}")))
            }
            word if Self::is_name(word) => {
                if operands::register(&word.to_ascii_lowercase()).is_none() {
                    return Err(self.error(format!("a location is written `[{word}]`")));
                }
                Ok(ParsedOperand::register(self.bare_register()?))
            }
            _ => {
                self.accept("$");
                if Self::is_name(self.peek()) {
                    let message = "an address has 64 bits, more than X86 can keep; write the test for \
                                   X86_64";
                    return Err(self.error(message));
                }
                Ok(ParsedOperand::immediate(self.number("as an operand")?))
            }
        }
    }

    /// Parses the sum of a location, a base, an index with its scale, and numbers.
    fn intel_memory(&mut self, thread: usize) -> Result<ParsedOperand, ParseError> {
        let first = self.at;
        let close = if self.next() == "(" { ")" } else { "]" };
        let (mut base, mut index, mut scale) = (Register::None, Register::None, 1);
        let (mut location, mut displacement) = (None, 0u64);
        loop {
            let word = self.peek();
            let register = operands::register(&word.to_ascii_lowercase());
            match register {
                Some(_) => {
                    let register = self.address_register()?;
                    if self.accept("*") {
                        scale = self.scale()?;
                    } else if base == Register::None {
                        base = register;
                        self.sum(close)?;
                        if self.accept(close) {
                            break;
                        }
                        continue;
                    }
                    if index != Register::None {
                        let message = "an address has one base and one index";
                        return Err(self.source.error(self.since(first), message));
                    }
                    index = register;
                }
                None if Self::is_name(word) && location.is_none() => {
                    location = Some(self.location(word)?);
                    self.at += 1;
                }
                None if Self::is_name(word) => {
                    return Err(self.error("an address has one location"));
                }
                None => {
                    displacement = displacement.wrapping_add(self.number("in the address")?);
                }
            }
            self.sum(close)?;
            if self.accept(close) {
                break;
            }
        }
        self.memory_operand(thread, first, (base, index, scale), location, displacement)
    }

    /// Parses the sign between two parts of an address; a minus is left for the number that follows.
    fn sum(&mut self, close: &str) -> Result<(), ParseError> {
        match self.peek() {
            "-" => Ok(()),
            other if other == close => Ok(()),
            _ => self.expect("+", &format!("or `{close}`, in the address")),
        }
    }

    /// Parses the register of an address, and returns its 64-bit form.
    fn address_register(&mut self) -> Result<Register, ParseError> {
        let at = self.at;
        let register = self.bare_register()?;
        if register.size() != 4 {
            let message = "base and index have 32 bits: EAX, ESI";
            return Err(self.source.error(self.since(at), message));
        }
        Ok(register.full_register())
    }
}
