//! From the text of a test to a [`Test`]: header, initial state, program, condition.
//!
//! The format is that of herd7 for `X86_64`. Whatever this reader does not know is an error with its
//! place; nothing is skipped but comments, the documentation of a test and its `Key=Value` lines.

mod code;
mod condition;
mod expected;
mod initial;
mod operands;

use std::ops::Range;

use iced_x86::Register;

use crate::source::{ParseError, Source, Token, number};
use crate::test::{Location, MAX_LOCATIONS, MAX_THREADS, Observable, Place, Shape, Test, Thread};

/// Reads a test; `file` is what errors call it.
///
/// # Errors
///
/// The first thing that is wrong with it.
pub fn parse(file: &str, text: &str) -> Result<Test, ParseError> {
    let source = Source::new(file, text)?;
    let (name, body) = header(&source)?;
    let tokens = source.tokens(body)?;
    let mut parser = Parser::new(&source, tokens);
    parser.initial_state()?;
    parser.program()?;
    let condition = parser.condition()?;
    let observables = condition.observables;
    let mut test = Test {
        name,
        threads: parser.threads,
        locations: parser.locations.into_iter().map(Declared::location).collect(),
        observables,
        printed: condition.printed,
        filter: condition.filter,
        quantifier: condition.quantifier,
        condition: condition.formula,
        expected: Vec::new(),
        result: None,
    };
    // Only now the width of every location is known.
    for observable in &mut test.observables {
        if let Place::Location(location) = observable.place {
            observable.shape = test.locations[location].shape;
        }
    }
    test.expected = expected::expected(&source, &test)?;
    test.result = expected::result(&source)?;
    Ok(test)
}

/// The name of the test, and where the initial state begins.
fn header(source: &Source<'_>) -> Result<(String, usize), ParseError> {
    let clean = &source.clean;
    let start = clean.find(|c: char| !c.is_whitespace()).unwrap_or(clean.len());
    let end = clean[start..].find('\n').map_or(clean.len(), |length| start + length);
    let mut words = clean[start..end].split_whitespace();
    let architecture = words.next().unwrap_or_default();
    if architecture != "X86_64" {
        let message = match architecture {
            "" => "the file is empty; a test begins with `X86_64 NAME`".to_owned(),
            other => format!("a test begins with `X86_64 NAME`, this one with `{other}`"),
        };
        return Err(source.error(start..start + architecture.len(), message));
    }
    let Some(name) = words.next() else {
        return Err(source.error(start..end, "the test has no name"));
    };
    let mut at = end;
    let mut quoted = false;
    for line in clean[end..].split_inclusive('\n') {
        if !quoted && line.trim_start().starts_with('{') {
            return Ok((name.to_owned(), at));
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

/// A location as far as it is known.
struct Declared {
    name: String,
    shape: Option<Shape>,
    /// Bytes of the widest access.
    widest: u8,
    /// As given; 0 otherwise.
    initial: Option<u64>,
}

impl Declared {
    fn location(self) -> Location {
        Location { shape: self.shape(), name: self.name, initial: self.initial.unwrap_or_default() }
    }

    fn shape(&self) -> Shape {
        match (self.shape, self.widest) {
            (Some(shape), widest) => Shape { bytes: shape.bytes.max(widest), ..shape },
            (None, 0) => Shape::signed(8),
            (None, widest) => Shape::signed(widest),
        }
    }
}

/// Reads tokens.
struct Parser<'s, 't> {
    source: &'s Source<'t>,
    tokens: Vec<Token>,
    at: usize,
    locations: Vec<Declared>,
    threads: Vec<Thread>,
    /// Registers with a declared type.
    typed: Vec<(u8, Register, Shape)>,
    /// Registers that start with the address of a location.
    pointers: Vec<(u8, Register, usize)>,
}

impl<'s, 't> Parser<'s, 't> {
    fn new(source: &'s Source<'t>, tokens: Vec<Token>) -> Self {
        Parser {
            source,
            tokens,
            at: 0,
            locations: Vec::new(),
            threads: Vec::new(),
            typed: Vec::new(),
            pointers: Vec::new(),
        }
    }

    /// The bytes of the next token; at the end of the text, its end.
    fn span(&self) -> Range<usize> {
        match self.tokens.get(self.at) {
            Some(token) => token.at.clone(),
            None => {
                let end = self.source.clean.trim_end().len();
                end..end
            }
        }
    }

    /// From the first byte of token number `first` to the last of the one just read.
    fn since(&self, first: usize) -> Range<usize> {
        let last = self.at.saturating_sub(1).max(first);
        match (self.tokens.get(first), self.tokens.get(last)) {
            (Some(first), Some(last)) => first.at.start..last.at.end,
            _ => self.span(),
        }
    }

    /// The next token; empty at the end.
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

    /// An error at the next token.
    fn error(&self, message: impl Into<String>) -> ParseError {
        self.source.error(self.span(), message)
    }

    /// The next token is not what belongs here.
    fn wanted(&self, what: &str, place: &str) -> ParseError {
        match self.peek() {
            "" => self.error(format!("{what} is missing {place}; the text ends here")),
            other => self.error(format!("{what} is missing {place}; `{other}` stands here")),
        }
    }

    fn is_name(word: &str) -> bool {
        word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
    }

    /// A number with its sign.
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
                Err(self.error("this is no number of at most 64 bits"))
            }
            None => Err(self.wanted("a number", place)),
        }
    }

    /// The number of the location `name`, which is new if it was not named before.
    fn location(&mut self, name: &str) -> Result<usize, ParseError> {
        if let Some(known) = self.locations.iter().position(|known| known.name == name) {
            return Ok(known);
        }
        if self.locations.len() == MAX_LOCATIONS {
            return Err(self.error(format!("more than {MAX_LOCATIONS} locations")));
        }
        self.locations.push(Declared {
            name: name.to_owned(),
            shape: None,
            widest: 0,
            initial: None,
        });
        Ok(self.locations.len() - 1)
    }

    /// The number of a location that the initial state or the program names.
    fn known_location(&mut self, name: &str) -> Result<usize, ParseError> {
        let known = self.locations.iter().position(|known| known.name == name);
        known.ok_or_else(|| {
            self.error(format!("neither the initial state nor the program names `{name}`"))
        })
    }

    /// That what `name` stands for can have this value, which begins at token `first`.
    fn fits(&self, value: u64, shape: Shape, name: &str, first: usize) -> Result<(), ParseError> {
        if shape.holds(value) {
            return Ok(());
        }
        let bytes = if shape.bytes == 1 { "byte" } else { "bytes" };
        let message = format!("{name} cannot have this value: it has {} {bytes}", shape.bytes);
        Err(self.source.error(self.since(first), message))
    }

    /// Does a register of a thread come next: `0:rax`, `P0:rax`?
    fn is_register(&self) -> bool {
        self.ahead(1) == ":" && thread_number(self.peek()).is_some()
    }

    /// `0:rax`: thread, full-width register, and width of what is named.
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
            self.error(format!("`{}` is no general-purpose register", self.peek()))
        })?;
        if matches!(register, Register::AH | Register::BH | Register::CH | Register::DH) {
            let whole = name.replace('h', "x");
            return Err(self.error(format!("`{name}` is the second byte of r{whole}: name that")));
        }
        self.at += 1;
        let bytes = u8::try_from(register.size()).expect("at most 8");
        Ok((thread, register.full_register(), Shape::signed(bytes), format!("{thread}:{name}")))
    }

    /// A register or location whose final value is asked for.
    fn observable(&mut self) -> Result<Observable, ParseError> {
        if self.is_register() {
            let first = self.at;
            let (thread, register, shape, name) = self.register_of_thread()?;
            if usize::from(thread) >= self.threads.len() {
                let message = format!("the test has no thread P{thread}");
                return Err(self.source.error(self.since(first), message));
            }
            let typed = self.typed.iter().find(|known| (known.0, known.1) == (thread, register));
            let shape = typed.map_or(shape, |known| known.2);
            return Ok(Observable { place: Place::Register(thread, register), shape, name });
        }
        let bracket = self.accept("[");
        let word = self.peek();
        if !Self::is_name(word) {
            return Err(self.wanted("a register or a location", "here"));
        }
        let location = self.known_location(word)?;
        self.at += 1;
        if bracket {
            self.expect("]", "after the location")?;
        }
        let place = Place::Location(location);
        Ok(Observable { place, shape: Shape::signed(8), name: format!("[{word}]") })
    }
}

/// `0` or `P0`.
fn thread_number(word: &str) -> Option<u8> {
    let digits = word.strip_prefix(['P', 'p']).unwrap_or(word);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}
