//! Operands in AT&T syntax: `$1`, `%eax`, `8(%rsi,%rcx,4)`, and herd's `(x)`.

use iced_x86::Register;

use super::Parser;
use super::code::ParsedOperand;
use super::operands;
use crate::source::ParseError;

impl Parser<'_, '_> {
    pub(super) fn att_operand(&mut self, thread: usize) -> Result<ParsedOperand, ParseError> {
        match self.peek() {
            "%" => Ok(ParsedOperand::register(self.register()?)),
            "$" => {
                self.at += 1;
                let word = self.peek();
                let value = if Self::is_name(word) {
                    let location = self.location(word)?;
                    self.at += 1;
                    self.locations[location].address
                } else {
                    self.number("after `$`")?
                };
                Ok(ParsedOperand::immediate(value))
            }
            "(" | "[" => self.memory(thread, 0, None),
            word if Self::is_name(word) => {
                if !matches!(self.ahead(1), "(" | "[") {
                    let message = match operands::register(&word.to_ascii_lowercase()) {
                        Some(_) => format!("a register is written `%{word}`{}", self.other_order()),
                        None => format!("a location is written `({word})`"),
                    };
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
                    _ => Ok(ParsedOperand::immediate(value)),
                }
            }
        }
    }

    fn register(&mut self) -> Result<Register, ParseError> {
        self.expect("%", "before the register")?;
        self.bare_register()
    }

    /// Parses the brackets of a memory operand: `x`, `%rip`, or base, index and scale.
    fn memory(
        &mut self,
        thread: usize,
        displacement: u64,
        mut location: Option<usize>,
    ) -> Result<ParsedOperand, ParseError> {
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
                    scale = self.scale()?;
                }
            }
        }
        self.expect(close, "to close the memory operand")?;
        if [base, index].iter().any(|register| *register != Register::None && !register.is_gpr64())
        {
            let message = "addresses are 64 bits wide: base and index must be, too";
            return Err(self.source.error(self.since(first), message));
        }
        self.memory_operand(thread, first, (base, index, scale), location, displacement)
    }
}
