-- Factory scripts of the instrument: sweeps and pulses.
--
-- Source of what they do: Series 2600B Reference Manual, "Factory scripts" and "TSP command reference".
local smua, trigger, delay, waitcomplete, localnode = smua, trigger, delay, waitcomplete, localnode
local type, error, pairs, tostring, format = type, error, pairs, tostring, string.format
local abs, max, getn, getmetatable = math.abs, math.max, table.getn, getmetatable

-- --- sweeps ---------------------------------------------------------------------------------------------

local UNIT = {
  v = { level = "levelv", range = "rangev", autorange = "autorangev", mode = 1, measured = "i" },
  i = { level = "leveli", range = "rangei", autorange = "autorangei", mode = 0, measured = "v" },
}

local function saved(smu, unit)
  return {
    level = smu.source[unit.level], range = smu.source[unit.range], autorange = smu.source[unit.autorange],
    func = smu.source.func, autozero = smu.measure.autozero, filter = smu.measure.filter.enable,
  }
end

local function restore(smu, unit, before)
  smu.source[unit.level] = 0
  smu.source[unit.range] = before.range
  smu.source[unit.autorange] = before.autorange
  smu.source.func = before.func
  smu.source[unit.level] = before.level
  smu.measure.autozero = before.autozero
  smu.measure.filter.enable = before.filter
end

local function sweep(smu, letter, largest, program, settle, points)
  smu = smu or smua
  if type(points) ~= "number" or points < 1 then error("points must be at least 1", 3) end
  local unit = UNIT[letter]
  local before = saved(smu, unit)
  smu.source.output = smu.OUTPUT_OFF
  smu.source.func = unit.mode
  smu.source[unit.level] = 0
  smu.source[unit.range] = largest
  smu.measure.autozero = smu.AUTOZERO_OFF
  smu.measure.filter.enable = smu.FILTER_OFF
  smu.nvbuffer1.clear()
  smu.nvbuffer1.appendmode = 1
  smu.nvbuffer1.collecttimestamps = 1
  smu.nvbuffer1.collectsourcevalues = 1
  local model = smu.trigger
  model.arm.stimulus, model.source.stimulus, model.measure.stimulus, model.endpulse.stimulus = 0, 0, 0, 0
  model.arm.count = 1
  program(model.source)
  model.source.action = smu.ENABLE
  model.endpulse.action = smu.SOURCE_HOLD
  model.measure[unit.measured](smu.nvbuffer1)
  model.measure.action = smu.ENABLE
  if settle > 0 then
    trigger.timer[1].reset()
    trigger.timer[1].delay = settle
    model.measure.stimulus = trigger.timer[1].EVENT_ID
    trigger.timer[1].stimulus = model.SOURCE_COMPLETE_EVENT_ID
  end
  model.count = points
  smu.source.output = smu.OUTPUT_ON
  model.initiate()
  waitcomplete()
  smu.source.output = smu.OUTPUT_OFF
  restore(smu, unit, before)
  delay(2)
end

local function linear(letter, first, last)
  return function(smu, start, stop, settle, points)
    start, stop, points = start or first, stop or last, points or 10
    local function program(source) source["linear" .. letter](start, stop, points) end
    sweep(smu, letter, max(abs(start), abs(stop)), program, settle or 0, points)
  end
end

local function logarithmic(letter, first, last)
  return function(smu, start, stop, settle, points)
    start, stop, points = start or first, stop or last, points or 10
    local function program(source) source["log" .. letter](start, stop, points, 0) end
    sweep(smu, letter, max(abs(start), abs(stop)), program, settle or 0, points)
  end
end

local function list(letter)
  return function(smu, levels, settle, points)
    if type(levels) ~= "table" then error("a table of levels was expected", 2) end
    local largest = 0
    for k = 1, getn(levels) do
      largest = max(largest, abs(levels[k]))
    end
    local function program(source) source["list" .. letter](levels) end
    sweep(smu, letter, largest, program, settle or 0, points or getn(levels))
  end
end

SweepVLinMeasureI, SweepILinMeasureV = linear("v", -1, 1), linear("i", -100e-6, 100e-6)
SweepVLogMeasureI, SweepILogMeasureV = logarithmic("v", 1, 10), logarithmic("i", 1e-9, 100e-6)
SweepVListMeasureI, SweepIListMeasureV = list("v"), list("i")

-- --- pulses ---------------------------------------------------------------------------------------------

local LIMIT = { v = "limiti", i = "limitv" }
local ENCAPSULATION = 40e-6 -- seconds by which the first of two pulses must be longer
local pulses = {}

local function aperture(smu) return smu.measure.nplc / localnode.linefreq end

local function is_smu(value)
  return type(value) == "table" and type(value.source) == "table" and value.source.func ~= nil
end

local function wrong_pulse(pulse) -- why a pulse cannot be generated, or nil
  if not is_smu(pulse.smu) then return "smu must be an instrument channel" end
  local numbers = { bias = pulse.bias, limit = pulse.limit, ton = pulse.ton, toff = pulse.toff, points = pulse.points }
  for _, name in pairs({ "bias", "limit", "ton", "toff", "points" }) do
    if type(numbers[name]) ~= "number" then return name .. " must be a number" end
  end
  for k = 1, getn(pulse.levels) do
    if type(pulse.levels[k]) ~= "number" then return "level must be a number" end
  end
  if type(pulse.tag) ~= "number" then return "tag must be a number" end
  if pulse.points < 1 then return "points must be at least 1" end
  if pulse.limit <= 0 then return "limit must be positive" end
  if pulse.ton <= 0 or pulse.toff <= 0 then return "ton and toff must be positive" end
  if pulse.buffer ~= nil then
    local meta = type(pulse.buffer) == "table" and getmetatable(pulse.buffer)
    if not meta or meta.luatype ~= "reading_buffer" then
      return "buffer must be a reading buffer or nil"
    end
    if aperture(pulse.smu) >= pulse.ton then return "ton is shorter than a measurement; reduce measure.nplc" end
  end
  if pulse.sync_in or pulse.sync_out then
    return "sync_in and sync_out need digital lines, to which nothing is connected"
  end
end

local function configure(pulse)
  local wrong = wrong_pulse(pulse)
  if wrong then return false, wrong end
  pulses[pulse.tag] = pulse
  return true, format("pulse configuration of tag %d is complete", pulse.tag)
end

local function constant(letter, name)
  return function(smu, bias, level, limit, ton, toff, points, buffer, tag, sync_in, sync_out)
    return configure({
      name = name, letter = letter, smu = smu, bias = bias, levels = { level }, limit = limit, ton = ton, toff = toff,
      points = points, buffer = buffer, tag = tag, sync_in = sync_in, sync_out = sync_out,
    })
  end
end

local function swept(letter, name, ramp)
  return function(smu, bias, start, stop, limit, ton, toff, points, buffer, tag, sync_in, sync_out)
    if type(start) ~= "number" or type(stop) ~= "number" then return false, "start and stop must be numbers" end
    if type(points) ~= "number" or points < 2 then return false, "points must be at least 2" end
    local levels, problem = ramp(start, stop, points)
    if not levels then return false, problem end
    return configure({
      name = name, letter = letter, smu = smu, bias = bias, levels = levels, limit = limit, ton = ton, toff = toff,
      points = points, buffer = buffer, tag = tag, sync_in = sync_in, sync_out = sync_out,
    })
  end
end

local function in_steps(start, stop, points)
  local levels = {}
  for k = 1, points do
    levels[k] = start + (stop - start) * (k - 1) / (points - 1)
  end
  return levels
end

local function in_factors(start, stop, points)
  if start * stop <= 0 then return nil, "start and stop must have the same sign and not be zero" end
  local levels = {}
  for k = 1, points do
    levels[k] = start * (stop / start) ^ ((k - 1) / (points - 1))
  end
  return levels
end

for letter, name in pairs({ v = "ConfigPulseVMeasureI", i = "ConfigPulseIMeasureV" }) do
  _G[name] = constant(letter, name)
  _G[name .. "SweepLin"] = swept(letter, name .. "SweepLin", in_steps)
  _G[name .. "SweepLog"] = swept(letter, name .. "SweepLog", in_factors)
end

local function level_of(pulse, k) return pulse.levels[math.mod(k - 1, getn(pulse.levels)) + 1] end

local function begin(pulse)
  local unit, source = UNIT[pulse.letter], pulse.smu.source
  pulse.before = { level = source[unit.level], func = source.func, limit = source[LIMIT[pulse.letter]] }
  source.func = unit.mode
  source[unit.level] = pulse.bias
  source[LIMIT[pulse.letter]] = pulse.limit
  if pulse.buffer then
    pulse.before.append = pulse.buffer.appendmode
    if pulse.before.append == 0 then pulse.buffer.clear() end
    pulse.buffer.appendmode = 1
  end
end

local function finish(pulse)
  local unit, source = UNIT[pulse.letter], pulse.smu.source
  source[unit.level] = pulse.before.level
  source[LIMIT[pulse.letter]] = pulse.before.limit
  source.func = pulse.before.func
  if pulse.buffer then pulse.buffer.appendmode = pulse.before.append end
end

local function set(pulse, level) pulse.smu.source[UNIT[pulse.letter].level] = level end

local function read(pulse) -- the source keeps its level while the reading is taken
  if not pulse.buffer then
    return 0
  end
  pulse.smu.measure[UNIT[pulse.letter].measured](pulse.buffer)
  return aperture(pulse.smu)
end

local function is_off(pulse) return pulse.smu.source.output ~= pulse.smu.OUTPUT_ON end

local function run_pulses(pulse)
  begin(pulse)
  for k = 1, pulse.points do
    set(pulse, level_of(pulse, k))
    delay(pulse.ton - (pulse.buffer and aperture(pulse.smu) or 0))
    read(pulse)
    set(pulse, pulse.bias)
    delay(pulse.toff)
  end
  finish(pulse)
end

function InitiatePulseTest(tag)
  local pulse = pulses[tag]
  if not pulse then return false, "tag " .. tostring(tag) .. " is not configured" end
  local wrong = wrong_pulse(pulse) -- the integration time may have changed
  if wrong then return false, wrong end
  if is_off(pulse) then return false, "the output of the channel is off" end
  run_pulses(pulse)
  return true, format("pulse test of tag %d is complete", tag)
end

function InitiatePulseTestDual(tag1, tag2)
  local outer, inner = pulses[tag1], pulses[tag2]
  if not outer or not inner then return false, "both tags must be configured" end
  local wrong = wrong_pulse(outer) or wrong_pulse(inner)
  if wrong then return false, wrong end
  if outer.smu == inner.smu then return false, "the tags must belong to different channels" end
  if outer.toff ~= inner.toff then return false, "toff of both tags must be equal" end
  if outer.points ~= inner.points then return false, "points of both tags must be equal" end
  if outer.ton <= inner.ton + ENCAPSULATION then return false, "ton of tag1 must exceed that of tag2 by 40 us" end
  if is_off(outer) or is_off(inner) then return false, "the output of a channel is off" end
  begin(outer)
  begin(inner)
  for k = 1, outer.points do
    set(outer, level_of(outer, k))
    delay(outer.ton - inner.ton)
    set(inner, level_of(inner, k))
    local reading = (outer.buffer and aperture(outer.smu) or 0) + (inner.buffer and aperture(inner.smu) or 0)
    delay(max(inner.ton - reading, 0))
    read(outer)
    read(inner)
    set(inner, inner.bias)
    set(outer, outer.bias)
    delay(outer.toff)
  end
  finish(inner)
  finish(outer)
  return true, format("pulse tests of tags %d and %d are complete", tag1, tag2)
end

function QueryPulseConfig(tag)
  local pulse = pulses[tag]
  if not pulse then return nil end
  local found = {
    testfunc = pulse.name, smu = pulse.smu, bias = pulse.bias, limit = pulse.limit, ton = pulse.ton,
    toff = pulse.toff, points = pulse.points, buf = pulse.buffer, sync_in = pulse.sync_in, sync_out = pulse.sync_out,
  }
  if getn(pulse.levels) == 1 then
    found.level = pulse.levels[1]
  else
    found.start, found.stop = pulse.levels[1], pulse.levels[getn(pulse.levels)]
  end
  found.tostring = function()
    return format("%s: bias = %g, limit = %g, ton = %g, toff = %g, points = %d",
      pulse.name, pulse.bias, pulse.limit, pulse.ton, pulse.toff, pulse.points)
  end
  return found
end

local function simple(letter)
  return function(smu, bias, level, ton, toff, points)
    smu = smu or smua
    local pulse = {
      letter = letter, smu = smu, bias = bias, levels = { level }, limit = smu.source[LIMIT[letter]], ton = ton,
      toff = toff, points = points, buffer = smu.nvbuffer1, tag = 0,
    }
    local wrong = wrong_pulse(pulse)
    if wrong then error(wrong, 2) end
    smu.nvbuffer1.clear()
    smu.source.func = UNIT[letter].mode
    set(pulse, bias)
    smu.source.output = smu.OUTPUT_ON
    run_pulses(pulse)
    smu.source.output = smu.OUTPUT_OFF
  end
end

PulseVMeasureI, PulseIMeasureV = simple("v"), simple("i")
