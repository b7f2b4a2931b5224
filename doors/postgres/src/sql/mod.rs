//! Just enough SQL to tell statements apart: the door answers some itself, the engine the rest.

mod copy;
mod lexer;
mod names;
mod parser;
mod script;
mod statement;

pub(crate) use copy::{CopyFormat, CopyFrom, CopyOptions, CopySource, CopyTo};
pub(crate) use names::with_postgres_names;
pub(crate) use script::{Piece, pieces};
pub(crate) use statement::{
    Assignment, CursorName, Declaration, DiscardScope, FetchCount, OwnStatement, SettingName,
    own_statement,
};
