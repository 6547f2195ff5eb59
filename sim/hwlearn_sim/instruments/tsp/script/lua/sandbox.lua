-- The environment of scripts: what a script may call, and the limits that it cannot evade.
--
-- Arguments: a clock in seconds, a function that takes printed text and returns whether it may be printed, a
-- function that makes a list, one that appends to it, a mark for values that the instrument cannot use, the seconds
-- and kilobytes that a chunk may use, and the characters of a text that a function may make.
-- Result: a table of functions for the interpreter. No Python object is ever visible to a script.
local clock, put, new_list, append, unusable, seconds, kilobytes, longest = ...

local inspect, collect, sethook, native_pcall, native_xpcall = debug.getinfo, collectgarbage, debug.sethook, pcall, xpcall
local native_tostring, native_getmetatable, native_setmetatable = tostring, getmetatable, setmetatable
local native_rawset, native_loadstring, native_sort, native_concat = rawset, loadstring, table.sort, table.concat
local native_insert, native_remove = table.insert, table.remove
local native_find, native_gsub, native_rep, native_format = string.find, string.gsub, string.rep, string.format
local native_match, native_gmatch, native_byte = string.match, string.gmatch, string.byte
local type, error, select, unpack, next, rawget, floor = type, error, select, unpack, next, rawget, math.floor
local tonumber, set_environment = tonumber, setfenv
local natives = { byte = string.byte, sub = string.sub, find = string.find, char = string.char, concat = table.concat }

local ENDLESS, FULL, DEEP = "script aborted: it does not end", "not enough memory", "stack overflow"
local EXIT = {}
local CHEAP = 1e6 -- steps of pattern matching that the native matcher may need
local FAILED = "\0failed" -- first result of a call into the instrument that failed; the second one is the text
local ended, ending, deadline, work = nil, nil, math.huge, 0 -- the deadline is that of the running chunk

local function place() -- the line of the script, as the native functions write it
  local level = 2
  repeat
    local at = inspect(level, "Sl")
    if at and at.currentline > 0 and at.source ~= "=instrument" then
      return at.short_src .. ":" .. at.currentline .. ": "
    end
    level = level + 1
  until not at
  return ""
end

-- --- limits --------------------------------------------------------------------------------------------

local function stop(reason)
  if not ended then ended, ending = reason, reason ~= EXIT and place() .. reason or nil end
  error(ending, 0)
end

local function check()
  if ended then error(ending, 0) end
  if clock() > deadline then stop(ENDLESS) end
  if collect("count") > kilobytes then
    collect("collect")
    if collect("count") > 0.8 * kilobytes then stop(FULL) end
  end
end

local function charge(size) -- work inside a native function, which the hook does not count
  work = work + size
  if work > 1e6 then
    work = 0
    check()
  end
end

local function caught(ok, ...)
  if ended then error(ending, 0) end
  local message = not ok and (...)
  if type(message) == "string" then
    if message == FULL then stop(FULL) end
    -- at the end of the stack even the hook fails: a script that went on there could not be interrupted
    if native_find(message, "stack overflow", 1, true) then stop(DEEP) end
    if message == "error in error handling" then stop(message) end
  end
  return ok, ...
end

sethook(check, "", 200)
collect("setpause", 120)
collect("setstepmul", 400)

-- --- calls into the instrument --------------------------------------------------------------------------

local handles = native_setmetatable({}, { __mode = "k" }) -- of the objects of the instrument

local function result(first, ...)
  if first == FAILED then error(place() .. (...), 0) end
  return first, ...
end

local function argument(value)
  local kind = type(value)
  if kind == "table" then
    local handle = handles[value]
    if handle then return handle end
    local list, k = new_list(), 1
    local item = rawget(value, 1)
    while item ~= nil do
      append(list, type(item) == "table" and (handles[item] or unusable) or item)
      k = k + 1
      item = rawget(value, k)
    end
    return list
  elseif kind == "function" then
    return unusable
  end
  return value
end

local function callable(call)
  return function(...)
    if collect("count") > kilobytes then check() end
    local count = select("#", ...)
    if count == 0 then return result(call()) end
    if count == 1 then return result(call(argument((...)))) end
    local given = { ... }
    for k = 1, count do
      given[k] = argument(given[k])
    end
    return result(call(unpack(given, 1, count)))
  end
end

local function getter(call)
  return function()
    if collect("count") > kilobytes then check() end
    return result(call())
  end
end

local function object(name, kind, handle, indexed, unknown, call, fill)
  local made, objects, getters, setters = {}, {}, {}, {}
  local function complete() -- most objects of an instrument are never used: the first use makes their items
    if fill then
      result(fill(objects, getters, setters))
      fill = nil
    end
  end
  handles[made] = handle
  native_setmetatable(made, {
    Objects = objects, Getters = getters, Setters = setters, luatype = kind, complete = complete,
    __index = function(_, key)
      if fill then complete() end
      local found = objects[key]
      if found ~= nil then return found end
      found = getters[key]
      if found then return found() end
      if indexed and type(key) == "number" then return result(indexed(key)) end
      if unknown then return result(unknown(native_tostring(key))) end
    end,
    __call = call,
    __newindex = function(_, key, value)
      if fill then complete() end
      local set = setters[key]
      if not set then
        if unknown then result(unknown(native_tostring(key))) end
        error(place() .. "cannot set attribute `" .. name .. "." .. native_tostring(key) .. "'", 0)
      end
      set(value)
    end,
  })
  return made, objects, getters, setters
end

-- --- basic functions ------------------------------------------------------------------------------------

local number_form = "%.5e"

local environment = {} -- the globals of scripts, filled below

local function confine(chunk) return set_environment(chunk, environment) end

local function text_of(value)
  if type(value) == "number" then
    if value ~= value then return "nan" end
    return native_format(number_form, value)
  end
  local text = native_tostring(value)
  if type(text) ~= "string" then error("'tostring' must return a string", 2) end
  return text
end

local function copied(from)
  local to = {}
  for key, value in next, from do
    to[key] = value
  end
  return to
end

tostring = function(...)
  if select("#", ...) == 0 then error("bad argument #1 to 'tostring' (value expected)", 2) end
  return text_of((...))
end

print = function(...)
  local texts = { ... }
  for k = 1, select("#", ...) do
    texts[k] = text_of(texts[k])
  end
  check()
  if not put(native_concat(texts, "\t") .. "\n") then stop(FULL) end
end

pcall = function(call, ...) return caught(native_pcall(call, ...)) end

xpcall = function(call, handler)
  if type(handler) ~= "function" then error("bad argument #2 to 'xpcall' (function expected)", 2) end
  local function guarded(message)
    if ended then return message end
    return handler(message)
  end
  return caught(native_xpcall(call, guarded))
end

loadstring = function(text, name)
  if type(text) ~= "string" then error("bad argument #1 to 'loadstring' (string expected)", 2) end
  if native_byte(text, 1) == 27 then return nil, "compiled chunks are refused" end
  charge(#text)
  local chunk, message = native_loadstring(text, type(name) == "string" and name or "=tsp")
  return chunk and confine(chunk), message
end

getmetatable = function(value)
  local found = native_getmetatable(value)
  if not handles[value] then return found end
  found.complete()
  return {
    Objects = copied(found.Objects), Getters = copied(found.Getters), Setters = copied(found.Setters),
    luatype = found.luatype,
  }
end

setmetatable = function(value, meta)
  if handles[value] then error("cannot change a protected metatable", 2) end
  return native_setmetatable(value, meta)
end

rawset = function(value, key, item)
  if handles[value] then error("objects of the instrument cannot be written", 2) end
  return native_rawset(value, key, item)
end

collectgarbage = function()
  check()
  collect("collect")
end

gcinfo = function() return floor(collect("count")), floor(kilobytes) end
meminfo = function() return floor(collect("count")), floor(kilobytes) end
exit = function() stop(EXIT) end

makegetter = function(from, name)
  if type(from) ~= "table" then error("bad argument #1 to 'makegetter' (table expected)", 2) end
  return function() return from[name] end
end

makesetter = function(to, name)
  if type(to) ~= "table" then error("bad argument #1 to 'makesetter' (table expected)", 2) end
  return function(value) to[name] = value end
end

-- --- tables ---------------------------------------------------------------------------------------------

local sizes = native_setmetatable({}, { __mode = "k" })

local function size_of(list) -- Lua 5.0: a number n, the size that was set, or the items before the first nil
  if type(list) ~= "table" then error("bad argument #1 (table expected, got " .. type(list) .. ")", 3) end
  local n = rawget(list, "n")
  if type(n) == "number" then return n end
  if sizes[list] then return sizes[list] end
  return #list
end

table.getn = function(list) return size_of(list) end

table.setn = function(list, n)
  size_of(list)
  if type(n) ~= "number" then error("bad argument #2 to 'setn' (number expected)", 2) end
  if rawget(list, "n") then native_rawset(list, "n", n) else sizes[list] = n end
end

table.insert = function(list, ...)
  local position = select("#", ...) > 1 and tonumber((...))
  if position and position < 1 then error("bad argument #2 to 'insert' (position out of bounds)", 2) end
  charge(type(list) == "table" and #list or 0)
  local n = type(list) == "table" and rawget(list, "n")
  local out = native_insert(list, ...)
  if type(n) == "number" then native_rawset(list, "n", n + 1) elseif sizes[list] then sizes[list] = sizes[list] + 1 end
  return out
end

table.remove = function(list, ...)
  charge(type(list) == "table" and #list or 0)
  local n = type(list) == "table" and rawget(list, "n")
  if type(n) == "number" and n > 0 then native_rawset(list, "n", n - 1) end
  if sizes[list] and sizes[list] > 0 then sizes[list] = sizes[list] - 1 end
  return native_remove(list, ...)
end

table.concat = function(list, ...)
  charge(type(list) == "table" and #list or 0)
  local text = native_concat(list, ...)
  charge(#text)
  return text
end

table.sort = function(list, before)
  charge(type(list) == "table" and #list or 0)
  return native_sort(list, before or function(a, b) return a < b end) -- counted by the hook
end

local native_maxn = table.maxn
table.maxn = function(list)
  charge(1e4)
  return native_maxn(list)
end

-- --- texts ----------------------------------------------------------------------------------------------

local function subject(text, place, name)
  local kind = type(text)
  if kind == "number" then return native_tostring(text) end
  if kind ~= "string" then
    error("bad argument #" .. place .. " to '" .. name .. "' (string expected, got " .. kind .. ")", 3)
  end
  return text
end

local function costly(text, pattern) -- whether backtracking could take long: each repeat may try every length
  local _, repeats = native_gsub(pattern, "[%*%+%-%?]", "")
  local _, scans = native_gsub(pattern, "%%[b%d]", "")
  return (#text + 1) ^ (repeats + scans + 1) * (#pattern + 1) > CHEAP
end

local matcher -- the matcher in Lua, which the hook interrupts: set by the interpreter

for _, name in next, { "byte", "lower", "upper", "reverse", "len", "sub", "format" } do
  local native = string[name]
  string[name] = function(text, ...)
    if type(text) == "string" then charge(#text) end
    return native(text, ...)
  end
end

string.dump = nil

string.rep = function(text, count)
  text = subject(text, 1, "rep")
  if type(count) == "number" and count * #text > longest then stop(FULL) end
  if text == "" then return "" end -- the native function would count to the end all the same
  charge(#text)
  return native_rep(text, count)
end

string.find = function(text, pattern, init, plain)
  text, pattern = subject(text, 1, "find"), subject(pattern, 2, "find")
  charge(#text)
  if plain then
    if #text * #pattern > CHEAP * 1e3 then stop(ENDLESS) end
    return native_find(text, pattern, init, plain)
  end
  if costly(text, pattern) then return matcher.find(text, pattern, init) end
  return native_find(text, pattern, init)
end

string.match = function(text, pattern, init)
  text, pattern = subject(text, 1, "match"), subject(pattern, 2, "match")
  charge(#text)
  if costly(text, pattern) then return matcher.match(text, pattern, init) end
  return native_match(text, pattern, init)
end

string.gmatch = function(text, pattern)
  text, pattern = subject(text, 1, "gmatch"), subject(pattern, 2, "gmatch")
  charge(#text)
  if costly(text, pattern) then return matcher.gmatch(text, pattern) end
  return native_gmatch(text, pattern)
end

string.gfind = string.gmatch

string.gsub = function(text, pattern, replacement, most)
  text, pattern = subject(text, 1, "gsub"), subject(pattern, 2, "gsub")
  local kind = type(replacement)
  if kind ~= "function" and kind ~= "table" and kind ~= "string" and kind ~= "number" then
    error("bad argument #3 to 'gsub' (string/function/table expected)", 2)
  end
  charge(#text)
  if costly(text, pattern) then return matcher.gsub(text, pattern, replacement, most) end
  return native_gsub(text, pattern, replacement, most)
end

-- --- what scripts do not have ---------------------------------------------------------------------------

os = { time = os.time, clock = os.clock, difftime = os.difftime }

-- Scripts have globals of their own. The real ones keep what lupa looks up there (debug.traceback, before each call):
-- a script that could give that table a metatable, or a table named debug, would run outside of its limits.
for _, name in next, {
  "assert", "collectgarbage", "error", "exit", "gcinfo", "getmetatable", "ipairs", "loadstring", "makegetter",
  "makesetter", "math", "meminfo", "next", "os", "pairs", "pcall", "print", "rawequal", "rawget", "rawset", "select",
  "setmetatable", "string", "table", "tonumber", "tostring", "type", "unpack", "xpcall",
} do
  environment[name] = _G[name]
end
environment._G = environment
native_getmetatable("").__index = string

-- --- for the interpreter --------------------------------------------------------------------------------

local takes_each = native_setmetatable({}, { __mode = "k" }) -- chunks whose generic loops were rewritten

local function each(subject_, ...) -- Lua 5.0: a table after `in' stands for its pairs
  if type(subject_) == "table" then
    local meta = native_getmetatable(subject_)
    if not (meta and meta.__call) then return next, subject_ end
  end
  return subject_, ...
end

local function outcome(ok, ...)
  local reason = ended
  ended, deadline = nil, math.huge
  if reason == EXIT then return true end
  if reason then return false, ending, reason == FULL end
  if ok then return true end
  local message = (...)
  if type(message) == "number" then message = native_tostring(message) end
  if type(message) ~= "string" then message = "error object is a " .. type(message) .. " value" end
  return false, message, message == FULL
end

return {
  run = function(chunk)
    ended, deadline = nil, clock() + seconds
    if takes_each[chunk] then return outcome(native_pcall(chunk, each)) end
    return outcome(native_pcall(chunk))
  end,
  compile = function(text, name, rewritten)
    local chunk, message = native_loadstring(text, name)
    if chunk and rewritten then takes_each[chunk] = true end
    return chunk and confine(chunk), message
  end,
  bind = function(chunk)
    if not takes_each[chunk] then return chunk end
    return function() return chunk(each) end
  end,
  object = object,
  callable = callable,
  getter = getter,
  setter = function(call)
    return function(value)
      if collect("count") > kilobytes then check() end
      return result(call(argument(value)))
    end
  end,
  set_number_form = function(form) number_form = form end,
  use = function(made) matcher = made end,
  used = function() return collect("count") end,
  collect = function() collect("collect") end,
  text_of = text_of,
  call = function(call, ...)
    ended, deadline = nil, clock() + seconds
    return outcome(native_pcall(call, ...))
  end,
  extend = function(more) deadline = deadline + more end,
  environment = environment,
  confine = confine,
  natives = natives,
  objects_of = function(value)
    local found = native_getmetatable(value)
    found.complete()
    return found.Objects
  end,
}
