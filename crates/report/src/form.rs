//! The forms in which one outcome is told.

use outcome::Outcome;

use crate::text::Text;
use crate::{Context, Options, asm, columns, json, mail};

/// A form in which one outcome is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// [`columns()`].
    Columns,
    /// [`mail()`].
    Mail,
    /// [`asm()`].
    Asm,
    /// [`json()`], indented.
    Json,
}

impl Form {
    /// All forms; the first is the one that is told unasked.
    pub const ALL: [Form; 4] = [Form::Columns, Form::Mail, Form::Asm, Form::Json];

    /// Returns its name: the flag of `show` and the file of a test.
    pub fn name(self) -> &'static str {
        match self {
            Form::Columns => "columns",
            Form::Mail => "mail",
            Form::Asm => "asm",
            Form::Json => "json",
        }
    }

    /// Returns the line of help that describes it.
    pub fn about(self) -> &'static str {
        match self {
            Form::Columns => "As CPU columns, as `check` prints it (the default)",
            Form::Mail => "As a mail or commit message tells it: ASCII, 72 columns",
            Form::Asm => "With the machine code under each event",
            Form::Json => "As JSON",
        }
    }

    /// Tells whether it is read where it is printed; other forms are for elsewhere and never coloured.
    pub fn is_for_terminals(self) -> bool {
        matches!(self, Form::Columns | Form::Asm)
    }

    /// Tells `outcome` in this form.
    pub fn render(self, outcome: &Outcome, context: &Context, options: &Options) -> Text {
        match self {
            Form::Columns => columns(outcome, context, options),
            Form::Mail => mail(outcome, context),
            Form::Asm => asm(outcome, context, options),
            Form::Json => {
                let mut text = Text::default();
                format!("{:#}", json(outcome, context)).lines().for_each(|line| text.plain(line));
                text
            }
        }
    }
}
