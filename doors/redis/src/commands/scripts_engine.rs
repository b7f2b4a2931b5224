//! One run of a script in Lua 5.1, which is the Lua that Redis speaks.
//!
//! Every run has a Lua state of its own, so that no script sees what another left behind. There are
//! no files, no system, no clock, and nothing that loads code.
//!
//! # Limits
//! A script that takes too much memory is ended by an error. Time has no limit, as in Redis: others are
//! told that the node is busy, and may have the script killed.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use mlua::chunk::ChunkMode;
use mlua::{Function, HookTriggers, Lua, LuaOptions, LuaSerdeExt, StdLib, Table};
use mlua::{Value, Variadic, VmState};

use super::scripts::digest;
use super::scripts_running::RunningScript;
use super::scripts_values::{argument, reply_from_lua, reply_to_lua};
use crate::access::{Context, check as check_access};
use crate::codec::Reply;
use crate::errors::CommandError;
use crate::table::{self, Call, Flags, Handler, Outcome};

/// LIMIT: bytes that a run may take.
const MEMORY_BYTES_MAX: usize = 64 << 20;
/// How many instructions a script runs before it looks whether it has to end.
const INSTRUCTIONS_PER_LOOK: u32 = 10_000;

/// What is around every script: `redis.call` raises what `redis.pcall` gives, variables have to be
/// local, whatever a script raises comes out as text, and the end of a script that was told to end is
/// not caught by it.
const PRELUDE: &str = r"
local command, body, has_to_end = ...
local caught = pcall
local function passed(ok, ...)
  if not ok and has_to_end() then error('the script has to end', 0) end
  return ok, ...
end
pcall = function(...) return passed(caught(...)) end
local handled, resumed = xpcall, coroutine.resume
xpcall = function(...) return passed(handled(...)) end
coroutine.resume = function(...) return passed(resumed(...)) end
redis.pcall = command
redis.call = function(...)
  local reply = command(...)
  if type(reply) == 'table' and reply.err then error(reply, 0) end
  return reply
end
redis.status_reply = function(text) return { ok = text } end
redis.error_reply = function(text)
  if type(text) ~= 'string' then return { err = 'ERR wrong number or type of arguments' } end
  if string.sub(text, 1, 1) == '-' then text = string.sub(text, 2) end
  if not string.find(text, ' ', 1, true) then text = 'ERR ' .. text end
  return { err = text }
end
setmetatable(_G, {
  __index = function(_, name)
    error('Script attempted to access nonexistent global variable \'' .. tostring(name) .. '\'', 2)
  end,
  __newindex = function() error('Attempt to modify a readonly table', 2) end,
})
local ok, result = caught(body)
if ok then return true, result end
if type(result) == 'table' and result.err then return false, result.err end
return false, 'ERR ' .. tostring(result)
";

/// What of Lua's own a script must not have: what loads code, what writes, what reaches around the
/// rule that variables are local.
const REMOVED: &[&str] = &[
    "collectgarbage",
    "dofile",
    "getfenv",
    "load",
    "loadfile",
    "loadstring",
    "module",
    "newproxy",
    "print",
    "rawset",
    "require",
    "setfenv",
];

/// A script to run.
pub(super) struct Script<'a> {
    pub(super) body: &'a [u8],
    pub(super) keys: &'a [Bytes],
    pub(super) arguments: &'a [Bytes],
    /// Commands that change something are refused.
    pub(super) only_reads: bool,
}

/// Runs a script.
pub(super) fn run(call: &mut Call<'_>, script: &Script<'_>) -> Result<Reply, CommandError> {
    let (database, in_transaction) = (call.client.db, call.in_transaction);
    // A command that would wait answers at once, as in a transaction.
    call.in_transaction = true;
    call.in_script = true;
    // What keeps scripts apart is that each holds the keys.
    call.keys();
    let running = Arc::clone(&call.server.running_script);
    running.begin();
    let state = new_state(Some(&running));
    let outcome = state.and_then(|state| run_in(state, call, script));
    let told = running.has_to_end();
    running.end();
    call.client.db = database;
    call.in_transaction = in_transaction;
    call.in_script = false;
    match told {
        Some(why) => Err(CommandError::said(why)),
        None => outcome.map_err(|error| failed(&error))?,
    }
}

/// Whether a script can be compiled.
pub(super) fn check(body: &[u8]) -> Result<(), CommandError> {
    let lua = new_state(None).map_err(|error| failed(&error))?;
    compile(&lua, body).map(|_| ())
}

fn failed(error: &mlua::Error) -> CommandError {
    CommandError::Said(format!("ERR Error running script: {error}"))
}

fn new_state(running: Option<&Arc<RunningScript>>) -> mlua::Result<Lua> {
    let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
    let lua = Lua::new_with(libraries, LuaOptions::default())?;
    lua.set_memory_limit(MEMORY_BYTES_MAX)?;
    if let Some(running) = running.cloned() {
        let triggers = HookTriggers::new().every_nth_instruction(INSTRUCTIONS_PER_LOOK);
        // Of all coroutines, too.
        lua.set_global_hook(triggers, move |_, _| match running.look() {
            Ok(()) => Ok(VmState::Continue),
            Err(why) => Err(mlua::Error::runtime(why)),
        })?;
    }
    for name in REMOVED {
        lua.globals().raw_remove(*name)?;
    }
    Ok(lua)
}

fn compile(lua: &Lua, body: &[u8]) -> Result<Function, CommandError> {
    let chunk = lua.load(body).set_name("@user_script").set_mode(ChunkMode::Text);
    chunk.into_function().map_err(|error| {
        let text = match error {
            mlua::Error::SyntaxError { message, .. } => message,
            other => other.to_string(),
        };
        CommandError::Said(format!("ERR Error compiling script (new function): {text}"))
    })
}

fn run_in(
    lua: Lua,
    call: &mut Call<'_>,
    script: &Script<'_>,
) -> mlua::Result<Result<Reply, CommandError>> {
    let body = match compile(&lua, script.body) {
        Ok(body) => body,
        Err(error) => return Ok(Err(error)),
    };
    let globals = lua.globals();
    globals.set("KEYS", strings(&lua, script.keys)?)?;
    globals.set("ARGV", strings(&lua, script.arguments)?)?;
    globals.set("redis", library(&lua)?)?;
    globals.set("cjson", json(&lua)?)?;
    let running = Arc::clone(&call.server.running_script);
    let call = RefCell::new(call);
    lua.scope(|scope| {
        let command = scope.create_function(|lua, arguments: Variadic<Value>| {
            let reply = match read_arguments(&arguments) {
                Ok(arguments) => command(&mut call.borrow_mut(), &arguments, script.only_reads),
                Err(error) => error.into(),
            };
            reply_to_lua(lua, reply)
        })?;
        let running = &running;
        let has_to_end = scope.create_function(|_, ()| Ok(running.has_to_end().is_some()))?;
        let chunk = lua.load(PRELUDE).set_name("=prelude").set_mode(ChunkMode::Text);
        let (ok, value) = chunk.call::<(bool, Value)>((command, body, has_to_end))?;
        let reply = reply_from_lua(value)?;
        Ok(match (ok, reply) {
            (true, reply) => Ok(reply),
            (false, Reply::Bulk(text)) => {
                Err(CommandError::Said(String::from_utf8_lossy(&text).into_owned()))
            }
            (false, _) => Err(CommandError::said("ERR script raised an error without a text")),
        })
    })
}

fn strings(lua: &Lua, all: &[Bytes]) -> mlua::Result<Table> {
    let table = lua.create_table_with_capacity(all.len(), 0)?;
    for bytes in all {
        table.push(lua.create_string(bytes)?)?;
    }
    Ok(table)
}

/// What `redis` has beside its commands.
fn library(lua: &Lua) -> mlua::Result<Table> {
    let redis = lua.create_table()?;
    let sha1 = |_: &Lua, text: mlua::LuaString| Ok(digest(&text.as_bytes()));
    redis.set("sha1hex", lua.create_function(sha1)?)?;
    // Effects are kept, not scripts, whatever a script asks for.
    redis.set("replicate_commands", lua.create_function(|_, ()| Ok(true))?)?;
    redis.set("log", lua.create_function(|_, _: Variadic<Value>| Ok(()))?)?;
    for (level, name) in
        ["LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"].iter().enumerate()
    {
        redis.set(*name, level)?;
    }
    Ok(redis)
}

fn json(lua: &Lua) -> mlua::Result<Table> {
    let cjson = lua.create_table()?;
    let decode = |lua: &Lua, text: mlua::LuaString| {
        let value: serde_json::Value =
            serde_json::from_slice(&text.as_bytes()).map_err(mlua::Error::external)?;
        lua.to_value(&value)
    };
    let encode = |lua: &Lua, value: Value| {
        let value: serde_json::Value = lua.from_value(value)?;
        lua.create_string(value.to_string())
    };
    cjson.set("decode", lua.create_function(decode)?)?;
    cjson.set("encode", lua.create_function(encode)?)?;
    cjson.set("null", lua.null())?;
    Ok(cjson)
}

fn read_arguments(values: &[Value]) -> Result<Vec<Bytes>, CommandError> {
    if values.is_empty() {
        return Err(CommandError::said(
            "ERR Please specify at least one argument for this redis.call() call",
        ));
    }
    let arguments: Option<Vec<Bytes>> = values.iter().map(argument).collect();
    arguments.ok_or_else(|| {
        CommandError::said("ERR Lua redis lib command arguments must be strings or integers")
    })
}

/// Runs a command of a script.
fn command(call: &mut Call<'_>, arguments: &[Bytes], only_reads: bool) -> Reply {
    let Some(entry) = arguments.first().and_then(|name| table::find(name)) else {
        return Reply::Error("ERR Unknown Redis command called from script".to_owned());
    };
    let spec = entry.spec;
    if !spec.takes(arguments.len()) {
        let text = "ERR Wrong number of args calling Redis command from script";
        return Reply::Error(text.to_owned());
    }
    // What has to be read from a log first cannot be answered while the script runs.
    let answers = match spec.run {
        Handler::Now(_) => true,
        Handler::Begin(_) => spec.flags.has(Flags::BLOCKING) || spec.flags.has(Flags::PUBSUB),
        Handler::After(_) => false,
    };
    if spec.flags.has(Flags::NO_SCRIPT) || !answers {
        let text = "ERR This Redis command is not allowed from script";
        return Reply::Error(text.to_owned());
    }
    if only_reads && spec.flags.has(Flags::WRITE) {
        let text = "ERR Write commands are not allowed from read-only scripts.";
        return Reply::Error(text.to_owned());
    }
    if call.server.guarded
        && let Err(refusal) = check_access(call, entry, arguments, Context::Script)
    {
        return refusal.in_script().into();
    }
    if spec.flags.has(Flags::WRITE) {
        call.server.running_script.note_write();
    }
    match super::run(call, entry, arguments) {
        Outcome::Reply(reply) => reply,
        Outcome::Replies(replies) => Reply::Array(replies),
        Outcome::Blocked(blocked) => blocked.on_timeout,
        // A message on a durable channel is on its way; how many get it is not known yet.
        Outcome::Accepted(answer) | Outcome::Later(answer) => {
            answer.now_or_never().unwrap_or(Reply::Integer(0))
        }
        Outcome::Silent | Outcome::Execute(_) | Outcome::Executing(_) | Outcome::LoggingIn(_) => {
            Reply::Null
        }
    }
}

#[cfg(test)]
mod tests {
    use posthouse_types::SystemClock;

    use super::*;

    fn evaluated(body: &str) -> Result<Reply, String> {
        let running = Arc::new(RunningScript::new(Arc::new(SystemClock)));
        running.begin();
        evaluated_in(&running, body)
    }

    fn evaluated_in(running: &Arc<RunningScript>, body: &str) -> Result<Reply, String> {
        let lua = new_state(Some(running)).unwrap();
        let body = compile(&lua, body.as_bytes()).map_err(|error| error.to_string())?;
        lua.globals().set("redis", library(&lua).unwrap()).unwrap();
        lua.globals().set("cjson", json(&lua).unwrap()).unwrap();
        let echo = |lua: &Lua, arguments: Variadic<Value>| {
            let arguments = read_arguments(&arguments).map_err(mlua::Error::external)?;
            reply_to_lua(lua, Reply::Error(format!("ERR echo {}", arguments.len())))
        };
        let command = lua.create_function(echo).unwrap();
        let running = Arc::clone(running);
        let has_to_end = lua.create_function(move |_, ()| Ok(running.has_to_end().is_some()));
        let given = (command, body, has_to_end.unwrap());
        let (ok, value): (bool, Value) = lua.load(PRELUDE).call(given).unwrap();
        let reply = reply_from_lua(value).unwrap();
        match (ok, reply) {
            (true, reply) => Ok(reply),
            (false, Reply::Bulk(text)) => Err(String::from_utf8_lossy(&text).into_owned()),
            (false, other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_come_out_as_redis_has_them() {
        assert_eq!(evaluated("return 3.9"), Ok(Reply::Integer(3)));
        assert_eq!(evaluated("return true"), Ok(Reply::Integer(1)));
        assert_eq!(evaluated("return false"), Ok(Reply::Null));
        assert_eq!(
            evaluated("return redis.status_reply('FINE')"),
            Ok(Reply::Status("FINE".into()))
        );
        assert_eq!(
            evaluated("return {1, 'a', nil, 'b'}"),
            Ok(Reply::Array(vec![1.into(), Reply::bulk("a")]))
        );
        assert_eq!(
            evaluated("return redis.sha1hex('')"),
            Ok(Reply::bulk("da39a3ee5e6b4b0d3255bfef95601890afd80709"))
        );
        assert_eq!(
            evaluated("return cjson.encode(cjson.decode('{\"a\":[1,null]}'))"),
            Ok(Reply::bulk("{\"a\":[1,null]}"))
        );
    }

    #[test]
    fn call_raises_what_pcall_gives() {
        let pcalled = evaluated("return redis.pcall('x', 1)");
        assert_eq!(pcalled, Ok(Reply::Error("ERR echo 2".into())));
        assert_eq!(evaluated("return redis.call('x')"), Err("ERR echo 1".into()));
        let caught = "local ok, e = pcall(redis.call, 'x'); return e.err";
        assert_eq!(evaluated(caught), Ok(Reply::bulk("ERR echo 1")));
    }

    #[test]
    fn a_script_has_no_globals_of_its_own_and_no_way_out() {
        for body in ["x = 1", "return x", "return loadstring('return 1')", "return os", "return io"]
        {
            let error = evaluated(body).unwrap_err();
            assert!(error.contains("global variable") || error.contains("readonly"), "{error}");
        }
        assert!(evaluated("return (").unwrap_err().starts_with("ERR Error compiling script"));
    }

    #[test]
    fn a_script_that_is_killed_cannot_go_on() {
        for body in [
            "while true do end",
            "while true do pcall(function() while true do end end) end",
            "while true do xpcall(function() while true do end end, function() end) end",
            "coroutine.wrap(function() while true do end end)()",
            "local f = function() while true do pcall(function() while true do end end) end end
             while true do coroutine.resume(coroutine.create(f)) end",
        ] {
            let running = Arc::new(RunningScript::new(Arc::new(SystemClock)));
            running.begin();
            running.kill().unwrap();
            let error = evaluated_in(&running, body).unwrap_err();
            assert!(error.contains("killed by user") || error.contains("has to end"), "{error}");
        }
    }

    #[test]
    fn a_script_that_takes_too_much_is_ended() {
        let error = evaluated("local t = 'x' while true do t = t .. t end").unwrap_err();
        assert!(error.contains("memory"), "{error}");
        let nested = evaluated("local t = {} t[1] = t return t");
        assert!(matches!(nested, Ok(Reply::Error(_))), "{nested:?}");
    }
}
