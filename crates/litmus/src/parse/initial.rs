//! Parses the initial state: `{ x=1; uint32_t y; 0:rsi=x; int64_t 1:rax=-1; }`.

use iced_x86::Register;

use super::{Dialect, Parser, operands};
use crate::source::{ParseError, number};
use crate::test::{MAX_LOCATIONS, Shape, TestThread};

/// Maximum number of elements of an array.
const MAX_COUNT: u64 = 512;
const _: () = assert!(MAX_LOCATIONS == 512, "each element is a location");

/// Returns width and sign of a C type.
pub(super) fn shape(name: &str) -> Option<Shape> {
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
    Some(Shape { address: bytes == 8, signed, bytes })
}

impl Parser<'_, '_> {
    pub(super) fn initial_state(&mut self) -> Result<(), ParseError> {
        self.expect("{", "before the initial state")?;
        self.reserve_arrays();
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

    /// Finds the arrays first. A location gets its address as soon as it is named, which may be before its
    /// declaration.
    fn reserve_arrays(&mut self) {
        let mut depth = 0u32;
        for at in 0.. {
            match self.ahead(at) {
                "{" => depth += 1,
                "}" if depth == 0 => return,
                "}" => depth -= 1,
                "" => return,
                "[" if at >= 2 => {
                    let (kind, name) = (self.ahead(at - 2), self.ahead(at - 1));
                    let count = number(self.ahead(at + 1)).filter(|count| *count <= MAX_COUNT);
                    if let (Some(shape), Some(count)) = (shape(kind), count) {
                        self.arrays.push((name, count * u64::from(shape.bytes)));
                    }
                }
                _ => {}
            }
        }
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
            return self.array(location, declared, name);
        }
        if declared.is_some() {
            self.locations[location].shape = declared;
        }
        if self.accept("=") {
            if self.locations[location].has_value {
                return Err(self.error(format!("a second initial value of `{name}`")));
            }
            let first = self.at;
            let (value, points_to) = self.initial_value()?;
            let shape = self.locations[location].shape();
            self.fits(value, shape, name, first)?;
            if points_to.is_some() && self.dialect == Dialect::Intel {
                let message = "an address has 8 bytes, more than X86 can load; give it to a \
                               register, or write the test for X86_64";
                return Err(self.source.error(self.since(first), message));
            }
            let known = &mut self.locations[location];
            known.initial = vec![shape.cut(value)];
            known.has_value = true;
        }
        Ok(())
    }

    /// Parses `[3]` or `[3]={1,2,3}`, after type and name.
    fn array(
        &mut self,
        location: usize,
        shape: Option<Shape>,
        name: &str,
    ) -> Result<(), ParseError> {
        let Some(shape) = shape else {
            return Err(self.error(format!("an array needs a type: `int {name}[2];`")));
        };
        if self.locations[location].shape.is_some() || self.locations[location].has_value {
            return Err(self.error(format!("a second declaration of `{name}`")));
        }
        self.at += 1;
        let first = self.at;
        let count = self.number("of elements")?;
        let Some(count) =
            usize::try_from(count).ok().filter(|count| (1..=MAX_LOCATIONS).contains(count))
        else {
            let message = format!("an array has 1 to {MAX_LOCATIONS} elements");
            return Err(self.source.error(self.since(first), message));
        };
        self.expect("]", "after the number of elements")?;
        let mut initial = Vec::new();
        if self.accept("=") {
            self.expect("{", "before the elements")?;
            loop {
                let first = self.at;
                let (value, _) = self.initial_value()?;
                self.fits(value, shape, name, first)?;
                initial.push(shape.cut(value));
                if !self.accept(",") {
                    break;
                }
            }
            self.expect("}", "after the elements")?;
            if initial.len() != count {
                let given = initial.len();
                let message = format!("`{name}` has {count} elements, and {given} are given");
                return Err(self.source.error(self.since(first), message));
            }
        }
        let known = &mut self.locations[location];
        (known.shape, known.count, known.initial) = (Some(shape), Some(count), initial);
        Ok(())
    }

    /// Parses the type before a name, if there is one.
    fn declared_shape(&mut self) -> Result<Option<Shape>, ParseError> {
        if self.accept("*") {
            return Ok(Some(Shape::POINTER));
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
        Ok(Some(if self.accept("*") { Shape::POINTER } else { known }))
    }

    fn initial_register(&mut self, declared: Option<Shape>) -> Result<(), ParseError> {
        let first = self.at;
        let (thread, register, shape, name) = self.register_of_thread()?;
        if register == Register::RSP {
            return Err(self.source.error(self.since(first), operands::NO_RSP));
        }
        if let Some(shape) = declared {
            self.typed.push((name.clone(), shape));
        }
        // The number of threads is checked when the program is read.
        while self.threads.len() <= usize::from(thread) {
            self.threads.push(TestThread { registers: Vec::new(), code: Vec::new() });
        }
        if self.accept("=") {
            let known = &self.threads[usize::from(thread)].registers;
            if known.iter().any(|known| known.0 == register) {
                return Err(self.error(format!("a second initial value of `{name}`")));
            }
            let value_at = self.at;
            let (value, points_to) = self.initial_value()?;
            // An untyped register is printed as an `int`, but the test may use all of it.
            let shape = match self.dialect {
                Dialect::Att if shape == Shape::UNTYPED => Shape::signed(8),
                _ => shape,
            };
            self.fits(value, shape, &name, value_at)?;
            let value = match self.dialect {
                Dialect::Att => shape.cut(value),
                // A 32-bit value is zero-extended.
                Dialect::Intel => Shape { signed: false, ..shape }.cut(value),
            };
            let registers = &mut self.threads[usize::from(thread)].registers;
            registers.push((register, value));
            if let Some(location) = points_to {
                self.pointers.push((thread, register, location));
            }
        }
        Ok(())
    }

    /// Parses a number or the address of a location; also returns the location.
    fn initial_value(&mut self) -> Result<(u64, Option<usize>), ParseError> {
        self.accept("&");
        let word = self.peek();
        if Self::is_name(word) {
            let location = self.location(word)?;
            self.at += 1;
            return Ok((self.locations[location].address, Some(location)));
        }
        Ok((self.number("as the initial value")?, None))
    }
}
