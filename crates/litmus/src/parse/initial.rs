//! The initial state: `{ x=1; uint32_t y; 0:rsi=x; int64_t 1:rax=-1; }`.

use iced_x86::Register;

use super::{Parser, operands};
use crate::source::ParseError;
use crate::test::{Shape, Thread, address};

/// Width and sign of a C type.
fn shape(name: &str) -> Option<Shape> {
    let (bytes, signed) = match name {
        "char" | "int8_t" => (1, true),
        "uint8_t" => (1, false),
        "short" | "int16_t" => (2, true),
        "uint16_t" => (2, false),
        "int" | "int32_t" => (4, true),
        "unsigned" | "uint32_t" => (4, false),
        "long" | "int64_t" | "intptr_t" => (8, true),
        "uint64_t" | "uintptr_t" | "size_t" => (8, false),
        _ => return None,
    };
    Some(Shape { bytes, signed })
}

impl Parser<'_, '_> {
    pub(super) fn initial_state(&mut self) -> Result<(), ParseError> {
        self.expect("{", "before the initial state")?;
        while !self.accept("}") {
            if self.accept(";") {
                continue;
            }
            self.entry()?;
            if self.peek() != "}" {
                self.expect(";", "after an initial value")?;
            }
        }
        Ok(())
    }

    fn entry(&mut self) -> Result<(), ParseError> {
        let declared = self.declared_shape()?;
        if self.is_register() {
            return self.initial_register(declared);
        }
        let bracket = self.accept("[");
        let name = self.peek();
        if !Self::is_name(name) {
            return Err(self.wanted("a location or a register", "in the initial state"));
        }
        let location = self.location(name)?;
        self.at += 1;
        if bracket {
            self.expect("]", "after the location")?;
        } else if self.peek() == "[" {
            return Err(self.error("arrays are not supported; give each element a name"));
        }
        if declared.is_some() {
            self.locations[location].shape = declared;
        }
        if self.accept("=") {
            let name = name.to_owned();
            if self.locations[location].initial.is_some() {
                return Err(self.error(format!("a second initial value of `{name}`")));
            }
            let first = self.at;
            let (value, points_to) = self.initial_value()?;
            let shape = self.locations[location].shape.unwrap_or(Shape::signed(8));
            self.fits(value, shape, &name, first)?;
            let known = &mut self.locations[location];
            known.initial = Some(shape.cut(value));
            if points_to.is_some() {
                known.widest = 8;
            }
        }
        Ok(())
    }

    /// The type before a name, if there is one.
    fn declared_shape(&mut self) -> Result<Option<Shape>, ParseError> {
        if self.accept("*") {
            return Ok(Some(Shape { bytes: 8, signed: true }));
        }
        let follows = self.ahead(1);
        let is_type = !self.is_register()
            && Self::is_name(self.peek())
            && (Self::is_name(follows)
                || follows.starts_with(|c: char| c.is_ascii_digit())
                || follows == "*"
                || follows == "[" && Self::is_name(self.ahead(2)));
        if !is_type {
            return Ok(None);
        }
        let known = shape(self.peek())
            .ok_or_else(|| self.error(format!("the type `{}` is not known", self.peek())))?;
        self.at += 1;
        Ok(Some(if self.accept("*") { Shape::signed(8) } else { known }))
    }

    fn initial_register(&mut self, declared: Option<Shape>) -> Result<(), ParseError> {
        let first = self.at;
        let (thread, register, shape, name) = self.register_of_thread()?;
        if register == Register::RSP {
            return Err(self.source.error(self.since(first), operands::NO_RSP));
        }
        if let Some(shape) = declared {
            self.typed.push((thread, register, shape));
        }
        // Threads are counted when the program is read.
        while self.threads.len() <= usize::from(thread) {
            self.threads.push(Thread { registers: Vec::new(), code: Vec::new() });
        }
        if self.accept("=") {
            let known = &self.threads[usize::from(thread)].registers;
            if known.iter().any(|known| known.0 == register) {
                return Err(self.error(format!("a second initial value of `{name}`")));
            }
            let value_at = self.at;
            let (value, points_to) = self.initial_value()?;
            self.fits(value, shape, &name, value_at)?;
            let registers = &mut self.threads[usize::from(thread)].registers;
            registers.push((register, shape.cut(value)));
            if let Some(location) = points_to {
                self.pointers.push((thread, register, location));
            }
        }
        Ok(())
    }

    /// A number, or the address of a location; and which location.
    fn initial_value(&mut self) -> Result<(u64, Option<usize>), ParseError> {
        self.accept("&");
        let word = self.peek();
        if Self::is_name(word) {
            let location = self.location(word)?;
            self.at += 1;
            return Ok((address(location), Some(location)));
        }
        Ok((self.number("as the initial value")?, None))
    }
}
