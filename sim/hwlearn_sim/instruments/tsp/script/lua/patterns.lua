-- Lua's pattern matching, written in Lua: the limits of a script count its steps, which they cannot do inside the
-- native functions. It behaves like the native functions; a test compares both on random patterns.
local natives = ... -- the functions of the library, which scripts get in other forms
local byte, sub, find, char, concat = natives.byte, natives.sub, natives.find, natives.char, natives.concat
local type, error, select, unpack, tostring, floor = type, error, select, unpack, tostring, math.floor

local ESCAPE, SET, CLOSE, CARET, MINUS, STAR, PLUS, QUERY, DOLLAR, OPEN, SHUT, DOT, B, F, ZERO, NINE =
  byte("%[]^-*+?$().bf09", 1, -1)

local CLASSES = {}
for k = 0, 255 do
  CLASSES[k] = {}
end

local function holds(class, code) -- whether a character is in %class
  local known = CLASSES[code][class]
  if known == nil then
    known = find(char(code), "[%" .. char(class) .. "]") ~= nil
    CLASSES[code][class] = known
  end
  return known
end

local function item_end(pattern, at) -- the place behind one item: a character, a class or a set
  local code = byte(pattern, at)
  if code == ESCAPE then
    if at + 1 > #pattern then error("malformed pattern (ends with '%')", 0) end
    return at + 2
  elseif code == SET then
    at = at + 1
    if byte(pattern, at) == CARET then at = at + 1 end
    repeat
      if at > #pattern then error("malformed pattern (missing ']')", 0) end
      if byte(pattern, at) == ESCAPE then at = at + 1 end
      at = at + 1
    until byte(pattern, at) == CLOSE
    return at + 1
  end
  return at + 1
end

local function in_set(pattern, at, last, code)
  local wanted = true
  at = at + 1
  if byte(pattern, at) == CARET then wanted, at = false, at + 1 end
  local first = true
  while first or at < last do
    first = false
    local one = byte(pattern, at)
    if one == ESCAPE then
      if holds(byte(pattern, at + 1), code) then return wanted end
      at = at + 2
    elseif byte(pattern, at + 1) == MINUS and at + 2 < last then
      if one <= code and code <= byte(pattern, at + 2) then return wanted end
      at = at + 3
    else
      if one == code then return wanted end
      at = at + 1
    end
  end
  return not wanted
end

local function fits(state, at, item, behind) -- whether the character at a place fits the item
  local code = byte(state.text, at)
  if not code then return false end
  local kind = byte(state.pattern, item)
  if kind == DOT then return true end
  if kind == ESCAPE then return holds(byte(state.pattern, item + 1), code) end
  if kind == SET then return in_set(state.pattern, item, behind - 1, code) end
  return kind == code
end

local match

local function balanced(state, at, item)
  local open, close = byte(state.pattern, item, item + 1)
  if not close then error("unbalanced pattern", 0) end
  if byte(state.text, at) ~= open then return nil end
  local depth = 1
  for k = at + 1, #state.text do
    local code = byte(state.text, k)
    if code == close then
      depth = depth - 1
      if depth == 0 then return k + 1 end
    elseif code == open then
      depth = depth + 1
    end
  end
  return nil
end

local function captured(state, k)
  local first, length = state[2 * k - 1], state[2 * k]
  if length == "open" then error("unfinished capture", 0) end
  if length == "place" then return first end
  return sub(state.text, first, first + length - 1)
end

local function begin_capture(state, at, item, length)
  if state.level >= 32 then error("too many captures", 0) end
  state.level = state.level + 1
  state[2 * state.level - 1], state[2 * state.level] = at, length
  local found = match(state, at, item)
  if not found then state.level = state.level - 1 end
  return found
end

local function end_capture(state, at, item)
  local k = state.level
  while k > 0 and state[2 * k] ~= "open" do
    k = k - 1
  end
  if k == 0 then error("invalid pattern capture", 0) end
  state[2 * k] = at - state[2 * k - 1]
  local found = match(state, at, item)
  if not found then state[2 * k] = "open" end
  return found
end

local function repeated(state, at, item, behind, least) -- as many as possible first
  local count = 0
  while fits(state, at + count, item, behind) do
    count = count + 1
  end
  while count >= least do
    local found = match(state, at + count, behind + 1)
    if found then return found end
    count = count - 1
  end
  return nil
end

local function shortest(state, at, item, behind)
  while true do
    local found = match(state, at, behind + 1)
    if found then return found end
    if not fits(state, at, item, behind) then return nil end
    at = at + 1
  end
end

local function special(state, at, item, code) -- %b, %f and %1: the place behind it and behind its item, or false
  local pattern = state.pattern
  if code == B then
    return balanced(state, at, item + 2) or false, item + 4
  elseif code == F then
    item = item + 2
    if byte(pattern, item) ~= SET then error("missing '[' after '%f' in pattern", 0) end
    local behind = item_end(pattern, item)
    local before, here = byte(state.text, at - 1) or 0, byte(state.text, at) or 0
    if at == 1 then before = 0 end
    local edge = not in_set(pattern, item, behind - 1, before) and in_set(pattern, item, behind - 1, here)
    return edge and at, behind
  end
  local k = code - ZERO
  if k < 1 or k > state.level or state[2 * k] == "open" then error("invalid capture index", 0) end
  local piece = captured(state, k)
  if type(piece) == "number" then return false, item + 2 end
  return sub(state.text, at, at + #piece - 1) == piece and at + #piece, item + 2
end

match = function(state, at, item) -- the place behind the match, or nil
  local pattern = state.pattern
  while item <= #pattern do
    local kind, following = byte(pattern, item, item + 1)
    if kind == OPEN then
      if following == SHUT then return begin_capture(state, at, item + 2, "place") end
      return begin_capture(state, at, item + 1, "open")
    elseif kind == SHUT then
      return end_capture(state, at, item + 1)
    elseif kind == DOLLAR and item == #pattern then
      return at == #state.text + 1 and at or nil
    elseif kind == ESCAPE and following and (following == B or following == F or (following >= ZERO and following <= NINE)) then
      at, item = special(state, at, item, following)
      if not at then return nil end
    else
      local behind = item_end(pattern, item)
      local suffix = byte(pattern, behind)
      if suffix == QUERY then
        if fits(state, at, item, behind) then
          local found = match(state, at + 1, behind + 1)
          if found then return found end
        end
        item = behind + 1
      elseif suffix == STAR then
        return repeated(state, at, item, behind, 0)
      elseif suffix == PLUS then
        return repeated(state, at, item, behind, 1)
      elseif suffix == MINUS then
        return shortest(state, at, item, behind)
      else
        if not fits(state, at, item, behind) then return nil end
        at, item = at + 1, behind
      end
    end
  end
  return at
end

local function groups(state, first, behind, whole)
  local found = {}
  for k = 1, state.level do
    found[k] = captured(state, k)
  end
  if state.level == 0 and whole then found[1] = sub(state.text, first, behind - 1) end
  return found, (state.level == 0 and whole) and 1 or state.level
end

local function start(text, init)
  init = init == nil and 1 or floor(init)
  if init < 0 then init = #text + init + 1 end
  if init < 1 then return 1 end
  return init > #text + 1 and #text + 1 or init
end

local function search(state, at, item, anchored)
  repeat
    state.level = 0
    local behind = match(state, at, item)
    if behind then return at, behind end
    at = at + 1
  until anchored or at > #state.text + 1
  return nil
end

local function prepared(text, pattern)
  local anchored = byte(pattern, 1) == CARET
  return { text = text, pattern = pattern, level = 0 }, anchored and 2 or 1, anchored
end

local function find_in(text, pattern, init)
  if not find(pattern, "[%^%$%*%+%?%.%(%[%%%-]") then return find(text, pattern, init, true) end
  local state, item, anchored = prepared(text, pattern)
  local first, behind = search(state, start(text, init), item, anchored)
  if not first then return nil end
  local found, count = groups(state, first, behind, false)
  return first, behind - 1, unpack(found, 1, count)
end

local function match_in(text, pattern, init)
  local state, item, anchored = prepared(text, pattern)
  local first, behind = search(state, start(text, init), item, anchored)
  if not first then return nil end
  local found, count = groups(state, first, behind, true)
  return unpack(found, 1, count)
end

local function each_in(text, pattern)
  local state, at = { text = text, pattern = pattern, level = 0 }, 1
  return function()
    if at > #text + 1 then return nil end
    local first, behind = search(state, at, 1, false)
    if not first then
      at = #text + 2
      return nil
    end
    at = behind == first and behind + 1 or behind
    local found, count = groups(state, first, behind, true)
    return unpack(found, 1, count)
  end
end

local function expanded(state, replacement, first, behind)
  local pieces, k = {}, 1
  while k <= #replacement do
    local code = byte(replacement, k)
    if code ~= ESCAPE then
      pieces[#pieces + 1] = sub(replacement, k, k)
    else
      k = k + 1
      code = byte(replacement, k) or 0
      if code == ZERO then
        pieces[#pieces + 1] = sub(state.text, first, behind - 1)
      elseif code > ZERO and code <= NINE then
        local found, count = groups(state, first, behind, true)
        local place = code - ZERO
        if place > count then error("invalid capture index", 0) end
        pieces[#pieces + 1] = tostring(found[place])
      else
        pieces[#pieces + 1] = sub(replacement, k, k)
      end
    end
    k = k + 1
  end
  return concat(pieces)
end

local function replaced(state, replacement, first, behind)
  local kind = type(replacement)
  if kind == "number" then return expanded(state, tostring(replacement), first, behind) end
  if kind == "string" then return expanded(state, replacement, first, behind) end
  local found, count = groups(state, first, behind, true)
  local value
  if kind == "table" then value = replacement[found[1]] else value = replacement(unpack(found, 1, count)) end
  if not value then return sub(state.text, first, behind - 1) end
  if type(value) ~= "string" and type(value) ~= "number" then
    error("invalid replacement value (a " .. type(value) .. ")", 0)
  end
  return value
end

local function gsub_in(text, pattern, replacement, most)
  local state, item, anchored = prepared(text, pattern)
  local pieces, at, count = {}, 1, 0
  most = most or #text + 1
  while count < most do
    state.level = 0
    local behind = match(state, at, item)
    if behind then
      count = count + 1
      pieces[#pieces + 1] = replaced(state, replacement, at, behind)
    end
    if behind and behind > at then
      at = behind
    elseif at <= #text then
      pieces[#pieces + 1] = sub(text, at, at)
      at = at + 1
    else
      break
    end
    if anchored then break end
  end
  pieces[#pieces + 1] = sub(text, at)
  return concat(pieces), count
end

return { find = find_in, match = match_in, gmatch = each_in, gsub = gsub_in }
