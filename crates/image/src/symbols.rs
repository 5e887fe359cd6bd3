//! The symbol table, including local symbols.

use std::collections::HashMap;

use object::LittleEndian as LE;
use object::elf;
use object::read::elf::ElfFile64;
use object::{Object, ObjectSymbol};

use crate::segment::Segment;

/// The kind of a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SymbolKind {
    /// A function.
    Function,
    /// A variable.
    Object,
    /// A label of the assembler or the linker script, without a type.
    Other,
}

/// A defined symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// The name as written in the file, mangled.
    pub name: String,
    /// Address of the symbol.
    pub address: u64,
    /// Size in bytes; 0 if the file does not give one.
    pub size: u64,
    /// Kind of the symbol.
    pub kind: SymbolKind,
    /// True if other objects could refer to it; false for `static` functions and the like.
    pub global: bool,
}

impl Symbol {
    /// Returns whether the address is in this symbol; always false if its size is not known.
    pub fn contains(&self, va: u64) -> bool {
        va >= self.address && va - self.address < self.size
    }
}

/// All defined symbols, in the order of the file, with lookups by name and by address.
#[derive(Debug, Default)]
pub(crate) struct SymbolTable {
    symbols: Vec<Symbol>,
    by_name: HashMap<String, usize>,
    /// Positions of functions and labels in code, by address, the best name of an address last.
    code: Vec<usize>,
    /// Positions of variables, likewise.
    objects: Vec<usize>,
}

impl SymbolTable {
    pub(crate) fn read(
        file: &ElfFile64<'_, LE>,
        segments: &[Segment],
        warnings: &mut Vec<String>,
    ) -> SymbolTable {
        let mut symbols = Vec::new();
        let mut unreadable_count = 0;
        for symbol in file.symbols() {
            let raw = symbol.elf_symbol();
            let kind = match raw.st_type() {
                _ if symbol.is_undefined() => continue,
                elf::STT_FUNC | elf::STT_GNU_IFUNC => SymbolKind::Function,
                elf::STT_OBJECT | elf::STT_COMMON => SymbolKind::Object,
                elf::STT_NOTYPE => SymbolKind::Other,
                _ => continue,
            };
            match symbol.name() {
                Ok("") => {}
                Ok(name) => symbols.push(Symbol {
                    name: name.to_owned(),
                    address: symbol.address(),
                    size: symbol.size(),
                    kind,
                    global: !symbol.is_local(),
                }),
                Err(_) => unreadable_count += 1,
            }
        }
        if unreadable_count > 0 {
            warnings.push(format!("{unreadable_count} symbols have no readable name, left out"));
        }
        if symbols.is_empty() {
            let mend = "names of functions are missing; link without --strip-all";
            warnings.push(format!("no symbol table: {mend}"));
        }
        SymbolTable::new(symbols, segments)
    }

    fn new(symbols: Vec<Symbol>, segments: &[Segment]) -> SymbolTable {
        let mut by_name: HashMap<String, usize> = HashMap::with_capacity(symbols.len());
        for (position, symbol) in symbols.iter().enumerate() {
            let known = by_name.entry(symbol.name.clone()).or_insert(position);
            if symbol.global && !symbols[*known].global {
                *known = position;
            }
        }
        let in_code = |symbol: &Symbol| {
            let segment = segments.iter().find(|segment| segment.contains(symbol.address));
            segment.is_some_and(|segment| segment.executable)
        };
        let select = |want: &dyn Fn(&Symbol) -> bool| {
            let mut found: Vec<usize> = (0..symbols.len()).filter(|&i| want(&symbols[i])).collect();
            found.sort_by(|&a, &b| rank(&symbols[a]).cmp(&rank(&symbols[b])));
            found
        };
        let code = select(&|symbol| symbol.kind != SymbolKind::Object && in_code(symbol));
        let objects = select(&|symbol| symbol.kind == SymbolKind::Object && symbol.size > 0);
        SymbolTable { by_name, code, objects, symbols }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Symbol> {
        self.symbols.iter()
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<&Symbol> {
        self.by_name.get(name).map(|&position| &self.symbols[position])
    }

    /// Returns the function in code that holds `va`, or else the label before it.
    ///
    /// A label reaches to the next symbol.
    pub(crate) fn function_at(&self, va: u64) -> Option<&Symbol> {
        const STEPS_MAX: usize = 256;
        let end = self.code.partition_point(|&i| self.symbols[i].address <= va);
        let below = self.code[..end].iter().rev().map(|&i| &self.symbols[i]);
        let mut label: Option<&Symbol> = None;
        for symbol in below.take(STEPS_MAX) {
            if symbol.contains(va) {
                return Some(symbol);
            }
            if symbol.size == 0 {
                label = label.or(Some(symbol));
                continue;
            }
            // The function ends before `va`: a label in it ends with it.
            let symbol_end = symbol.address.saturating_add(symbol.size);
            return label.filter(|label| label.address >= symbol_end);
        }
        label
    }

    /// Returns the variable that holds `va`.
    pub(crate) fn object_at(&self, va: u64) -> Option<&Symbol> {
        let end = self.objects.partition_point(|&i| self.symbols[i].address <= va);
        let address = self.symbols[*self.objects[..end].last()?].address;
        let below = self.objects[..end].iter().rev().map(|&i| &self.symbols[i]);
        below.take_while(|symbol| symbol.address == address).find(|symbol| symbol.contains(va))
    }
}

/// Ranks symbols by address; of several names for one address, the most telling comes last.
fn rank(symbol: &Symbol) -> impl Ord + '_ {
    let function = symbol.kind == SymbolKind::Function;
    let plain = !symbol.name.starts_with("__");
    (
        symbol.address,
        function,
        symbol.size > 0,
        symbol.global,
        plain,
        std::cmp::Reverse(&symbol.name),
    )
}
