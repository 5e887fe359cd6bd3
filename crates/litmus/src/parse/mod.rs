//! Parses the text of a test into a [`Test`]: header, initial state, program, condition.
//!
//! The formats are those of herd7 for `X86_64` and `X86`. Anything that this parser does not know is an error
//! with its position; it skips only comments, the documentation of a test and its `Key=Value` lines.

mod att;
mod code;
mod condition;
mod expected;
mod initial;
mod intel;
mod operands;

use std::ops::Range;

use iced_x86::Register;

use crate::source::{ParseError, SourceText, SpannedToken, number};
use crate::test::{
    DATA, Location, MAX_LOCATIONS, MAX_THREADS, Observable, ObservedPlace, Shape, Test, TestThread,
};

/// Hint about the start of a test.
const BEGINS: &str = "a test starts with `X86_64 NAME` or `X86 NAME`";

/// Maximum size of a test in bytes: published ones have a few thousand.
const MAX_BYTES: usize = 1 << 20;

/// The syntax of instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    /// `X86_64`: AT&T, the destination last.
    Att,
    /// `X86`: Intel, the destination first; 32-bit registers.
    Intel,
}

/// Reads a test; `file` is its name in errors.
///
/// # Errors
///
/// Returns the first syntax error.
pub fn parse(file: &str, text: &str) -> Result<Test, ParseError> {
    architecture(file, text)?;
    let source = SourceText::new(file, text)?;
    if text.len() > MAX_BYTES {
        let message =
            format!("the file has {} bytes, but a litmus test has at most {MAX_BYTES}", text.len());
        return Err(source.error(0..0, message));
    }
    let (dialect, name, body) = header(&source)?;
    let tokens = source.tokens(body)?;
    let mut parser = Parser::new(&source, tokens, dialect);
    parser.initial_state()?;
    parser.program()?;
    parser.is_whole()?;
    let condition = parser.condition()?;
    let observables = condition.observables;
    let mut test = Test {
        name,
        threads: parser.threads,
        locations: parser.locations.into_iter().flat_map(Declared::cells).collect(),
        observables,
        printed: condition.printed,
        filter: condition.filter,
        quantifier: condition.quantifier,
        condition: condition.formula,
        expected: Vec::new(),
        result: None,
    };
    test.expected = expected::expected(&source, &test)?;
    test.result = expected::result(&source)?.or(condition.result);
    Ok(test)
}

/// Refuses a test that is for another architecture, before comments are searched: tests in C
/// contain `(*x`, which does not start a comment.
fn architecture(file: &str, text: &str) -> Result<(), ParseError> {
    let start = text.find(|c: char| !c.is_whitespace()).unwrap_or(text.len());
    let rest = &text[start..];
    let word = &rest[..rest.find(char::is_whitespace).unwrap_or(rest.len())];
    if word != "C" {
        return Ok(());
    }
    let message = format!(
        "{BEGINS}, but this one with `C`: C has no machine code of its own; compile it, and write the test with \
         the compiled instructions"
    );
    Err(SourceText::unread(file, text).error(start..start + 1, message))
}

/// Returns the syntax, the name of the test, and the start of the initial state.
fn header(source: &SourceText<'_>) -> Result<(Dialect, String, usize), ParseError> {
    let clean = &source.clean;
    let start = clean.find(|c: char| !c.is_whitespace()).unwrap_or(clean.len());
    let end = clean[start..].find('\n').map_or(clean.len(), |length| start + length);
    let mut words = clean[start..end].split_whitespace();
    let architecture = words.next().unwrap_or_default();
    let dialect = match architecture {
        "X86_64" | "x86_64" => Dialect::Att,
        "X86" | "x86" => Dialect::Intel,
        "" => {
            return Err(source.error(start..start, format!("the file is empty; {BEGINS}")));
        }
        other => {
            let message = format!("{BEGINS}, but this one with `{other}`");
            return Err(source.error(start..start + other.len(), message));
        }
    };
    let Some(name) = words.next() else {
        return Err(source.error(start..end, "the test has no name"));
    };
    let mut at = end;
    let mut quoted = false;
    for line in clean[end..].split_inclusive('\n') {
        if !quoted && line.trim_start().starts_with('{') {
            return Ok((dialect, name.trim_end_matches(';').to_owned(), at));
        }
        // The documentation may have several lines.
        let begins = !quoted && line.trim_start().starts_with('"');
        if quoted || begins {
            quoted ^= line.matches('"').count() % 2 == 1;
        }
        at += line.len();
    }
    Err(source.error(clean.len()..clean.len(), "the test has no initial state: `{ … }`"))
}

/// A variable or an array, as far as it is known.
struct Declared {
    name: String,
    address: u64,
    shape: Option<Shape>,
    /// Elements of an array.
    count: Option<usize>,
    /// Bytes of the widest access.
    widest: u8,
    /// The initial value of each element; 0 if not given.
    initial: Vec<u64>,
    /// `true` if the initial state gives a value.
    has_value: bool,
}

impl Declared {
    /// Returns the variable, or the elements.
    fn cells(self) -> impl Iterator<Item = Location> {
        let (shape, extent) = (self.shape(), self.address..self.address + self.bytes());
        (0..self.count.unwrap_or(1)).map(move |at| Location {
            name: self.count.map_or(self.name.clone(), |_| format!("{}[{at}]", self.name)),
            address: self.address + offset(at, shape.bytes),
            extent: extent.clone(),
            shape,
            initial: self.initial.get(at).copied().unwrap_or_default(),
        })
    }

    fn shape(&self) -> Shape {
        self.shape.unwrap_or(Shape::UNTYPED)
    }

    /// Returns the size in bytes. A location without a declared type is an `int`, but is wider if
    /// the test accesses more of it, or if it may hold an address.
    fn bytes(&self) -> u64 {
        let holds_address = self.initial.iter().any(|value| DATA.contains(value));
        match (self.shape, self.count) {
            (Some(shape), count) => offset(count.unwrap_or(1), shape.bytes),
            // The test reaches it only by addresses, or not at all.
            (None, _) if holds_address || self.widest == 0 => 8,
            (None, _) => u64::from(self.widest.max(Shape::UNTYPED.bytes)),
        }
    }
}

/// Returns the offset of element `at` in an array.
fn offset(at: usize, bytes: u8) -> u64 {
    u64::try_from(at).expect("few elements") * u64::from(bytes)
}

/// A parser over the tokens of a test.
struct Parser<'s, 't> {
    dialect: Dialect,
    source: &'s SourceText<'t>,
    tokens: Vec<SpannedToken>,
    at: usize,
    locations: Vec<Declared>,
    /// Sizes in bytes of the arrays that the initial state declares.
    arrays: Vec<(&'t str, u64)>,
    /// Address of the next location.
    free: u64,
    threads: Vec<TestThread>,
    /// Registers with a declared type, by their printed names.
    typed: Vec<(String, Shape)>,
    /// Registers that start with the address of a location.
    pointers: Vec<(u8, Register, usize)>,
}

impl<'s, 't> Parser<'s, 't> {
    fn new(source: &'s SourceText<'t>, tokens: Vec<SpannedToken>, dialect: Dialect) -> Self {
        Parser {
            dialect,
            source,
            tokens,
            at: 0,
            locations: Vec::new(),
            arrays: Vec::new(),
            free: DATA.start,
            threads: Vec::new(),
            typed: Vec::new(),
            pointers: Vec::new(),
        }
    }

    /// Returns the range of the next token, or at the end of the text an empty range there.
    fn span(&self) -> Range<usize> {
        match self.tokens.get(self.at) {
            Some(token) => token.at.clone(),
            None => {
                let end = self.source.clean.trim_end().len();
                end..end
            }
        }
    }

    /// Returns the range from the first byte of token number `first` to the last of the one just read.
    fn since(&self, first: usize) -> Range<usize> {
        let last = self.at.saturating_sub(1).max(first);
        match (self.tokens.get(first), self.tokens.get(last)) {
            (Some(first), Some(last)) => first.at.start..last.at.end,
            _ => self.span(),
        }
    }

    /// Returns the next token; empty at the end.
    fn peek(&self) -> &'t str {
        self.ahead(0)
    }

    fn ahead(&self, by: usize) -> &'t str {
        let token = self.tokens.get(self.at + by);
        token.map_or("", |token| self.source.slice(token.at.clone()))
    }

    fn next(&mut self) -> &'t str {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn accept(&mut self, sign: &str) -> bool {
        let there = self.peek() == sign;
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, sign: &str, place: &str) -> Result<(), ParseError> {
        match self.accept(sign) {
            true => Ok(()),
            false => Err(self.wanted(&format!("`{sign}`"), place)),
        }
    }

    /// Returns an error at the next token.
    fn error(&self, message: impl Into<String>) -> ParseError {
        self.source.error(self.span(), message)
    }

    /// Returns an error for a missing token at the next one.
    fn wanted(&self, what: &str, place: &str) -> ParseError {
        match self.peek() {
            "" => self.error(format!("{what} is missing {place}; the text ends here")),
            other => self.error(format!("{what} is missing {place}; found `{other}`")),
        }
    }

    fn is_name(word: &str) -> bool {
        word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
    }

    /// Parses a number with its sign.
    fn number(&mut self, place: &str) -> Result<u64, ParseError> {
        let negative = self.accept("-");
        if !negative {
            self.accept("+");
        }
        match number(self.peek()) {
            Some(value) => {
                self.at += 1;
                Ok(if negative { value.wrapping_neg() } else { value })
            }
            None if self.peek().starts_with(|c: char| c.is_ascii_digit()) => {
                Err(self.error("this is not a number of at most 64 bits"))
            }
            None => Err(self.wanted("a number", place)),
        }
    }

    /// Returns the number of the location `name`, and creates the location if it was not named before.
    fn location(&mut self, name: &str) -> Result<usize, ParseError> {
        if let Some(known) = self.locations.iter().position(|known| known.name == name) {
            return Ok(known);
        }
        let array = self.arrays.iter().find(|known| known.0 == name);
        let bytes = array.map_or(8, |known| known.1.next_multiple_of(8));
        // The word after it belongs to no location, so that an access across its end is noticed.
        let (address, free) = (self.free, self.free + bytes + 8);
        if self.locations.len() == MAX_LOCATIONS || free > DATA.end {
            let room = DATA.end - DATA.start;
            let message = format!("more than {MAX_LOCATIONS} locations, or {room} bytes of them");
            return Err(self.error(message));
        }
        self.free = free;
        self.locations.push(Declared {
            name: name.to_owned(),
            address,
            shape: None,
            count: None,
            widest: 0,
            initial: Vec::new(),
            has_value: false,
        });
        Ok(self.locations.len() - 1)
    }

    /// Returns the number, among all variables and elements of arrays, of the first one of `location`.
    fn first_cell(&self, location: usize) -> usize {
        self.locations[..location].iter().map(|known| known.count.unwrap_or(1)).sum()
    }

    /// Returns the number of a location that the initial state or the program names.
    fn known_location(&mut self, name: &str) -> Result<usize, ParseError> {
        let known = self.locations.iter().position(|known| known.name == name);
        known.ok_or_else(|| {
            self.error(format!("neither the initial state nor the program names `{name}`"))
        })
    }

    /// Checks that `name` can have this value, which starts at token `first`.
    fn fits(&self, value: u64, shape: Shape, name: &str, first: usize) -> Result<(), ParseError> {
        if shape.holds(value) {
            return Ok(());
        }
        let bytes = if shape.bytes == 1 { "byte" } else { "bytes" };
        let mend = match shape == Shape::UNTYPED {
            true => format!(" of an `int`; declare it in the initial state: `int64_t {name};`"),
            false => String::new(),
        };
        let message =
            format!("{name} cannot have this value: it has {} {bytes}{mend}", shape.bytes);
        Err(self.source.error(self.since(first), message))
    }

    /// Returns whether the next token starts a register of a thread: `0:rax`, `P0:rax`.
    fn is_register(&self) -> bool {
        self.ahead(1) == ":" && thread_number(self.peek()).is_some()
    }

    /// Parses `0:rax`: returns the thread, the full-width register, the shape of the named part,
    /// and the printed name.
    fn register_of_thread(&mut self) -> Result<(u8, Register, Shape, String), ParseError> {
        let thread = thread_number(self.peek()).ok_or_else(|| self.wanted("a thread", "here"))?;
        if usize::from(thread) >= MAX_THREADS {
            return Err(self.error(format!("a test has at most {MAX_THREADS} threads")));
        }
        self.at += 1;
        self.expect(":", "between thread and register")?;
        self.accept("%");
        let name = self.peek().to_ascii_lowercase();
        let register = operands::register(&name).ok_or_else(|| {
            self.error(format!("`{}` is not a general-purpose register", self.peek()))
        })?;
        self.exists(register)?;
        if matches!(register, Register::AH | Register::BH | Register::CH | Register::DH) {
            let whole = name.replace('h', "x");
            return Err(
                self.error(format!("`{name}` is the second byte of r{whole}; name r{whole}"))
            );
        }
        self.at += 1;
        // Herd knows only whole registers, and treats them as an `int`.
        let whole = match self.dialect {
            Dialect::Att => 8,
            Dialect::Intel => 4,
        };
        let shape = match u8::try_from(register.size()).expect("at most 8") {
            bytes if bytes == whole => Shape::UNTYPED,
            bytes => Shape::signed(bytes),
        };
        let name = match self.dialect {
            Dialect::Att => name,
            Dialect::Intel => name.to_ascii_uppercase(),
        };
        Ok((thread, register.full_register(), shape, format!("{thread}:{name}")))
    }

    /// Checks that a test of this architecture can name `register`, the next token.
    fn exists(&self, register: Register) -> Result<(), ParseError> {
        let is_new = register.full_register().number() >= 8 || register.size() > 4;
        let is_new = is_new || matches!(register, Register::SPL | Register::BPL);
        let is_new = is_new || matches!(register, Register::SIL | Register::DIL);
        if self.dialect == Dialect::Intel && is_new {
            let message = "X86 has no such register; write the test for X86_64";
            return Err(self.error(message));
        }
        Ok(())
    }

    /// Parses observables: one register or location, or the elements of an array.
    fn observables(&mut self) -> Result<Vec<Observable>, ParseError> {
        if self.is_register() {
            return Ok(vec![self.observable_register()?]);
        }
        let bracket = self.accept("[");
        let word = self.peek();
        if !Self::is_name(word) {
            return Err(self.wanted("a register or a location", "here"));
        }
        let location = self.known_location(word)?;
        let (first, count) = (self.first_cell(location), self.locations[location].count);
        let shape = self.locations[location].shape();
        self.at += 1;
        if bracket {
            self.expect("]", "after the location")?;
        }
        if !self.accept("[") {
            let of = |at| Observable {
                place: ObservedPlace::Location(first + at),
                shape,
                name: if count.is_some() { word.to_owned() } else { format!("[{word}]") },
                element: count.map(|count| (at, count)),
            };
            return Ok((0..count.unwrap_or(1)).map(of).collect());
        }
        let number = self.at;
        let at = self.number("of an element")?;
        let at = usize::try_from(at).ok().filter(|at| *at < count.unwrap_or(0));
        let Some(at) = at else {
            let message = match count {
                Some(count) => format!("`{word}` has the elements 0 to {}", count - 1),
                None => format!("`{word}` is not an array; declare it: `int {word}[2];`"),
            };
            return Err(self.source.error(self.since(number), message));
        };
        self.expect("]", "after the number of the element")?;
        let place = ObservedPlace::Location(first + at);
        Ok(vec![Observable { place, shape, name: format!("{word}[{at}]"), element: None }])
    }

    /// Parses a single register or location.
    fn observable(&mut self) -> Result<Observable, ParseError> {
        let first = self.at;
        let mut all = self.observables()?;
        match all.len() {
            1 => Ok(Observable { element: None, ..all.remove(0) }),
            _ => {
                let message = "a whole array cannot be compared; name an element: `t[0]`";
                Err(self.source.error(self.since(first), message))
            }
        }
    }

    fn observable_register(&mut self) -> Result<Observable, ParseError> {
        let first = self.at;
        let (thread, register, shape, name) = self.register_of_thread()?;
        if usize::from(thread) >= self.threads.len() {
            let message = format!("the test has no thread P{thread}");
            return Err(self.source.error(self.since(first), message));
        }
        let typed = self.typed.iter().find(|known| known.0 == name);
        let shape = typed.map_or(shape, |known| known.1);
        Ok(Observable {
            place: ObservedPlace::Register(thread, register),
            shape,
            name,
            element: None,
        })
    }
}

/// Parses `0` or `P0`.
fn thread_number(word: &str) -> Option<u8> {
    let digits = word.strip_prefix(['P', 'p']).unwrap_or(word);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}
