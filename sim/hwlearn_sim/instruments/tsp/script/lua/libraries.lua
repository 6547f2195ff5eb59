-- Libraries of the instrument that handle values of scripts: named scripts, the data queue, user strings, nodes.
--
-- Arguments: the functions of the interpreter, and a function that compiles text; result: a function that defines
-- a script, and one that removes all of them.
local tools, compile = ...
local rawset, type, error, next, insert = rawset, type, error, next, table.insert
local _G, tostring, print, remove, sort, gfind = _G, tostring, print, table.remove, table.sort, string.gfind

local function listed(names) -- an iterator, as the catalogs of the instrument are
  local k = 0
  return function()
    k = k + 1
    return names[k]
  end
end

local function sorted(of)
  local names = {}
  for name in next, of do
    insert(names, name)
  end
  sort(names)
  return names
end

-- --- scripts --------------------------------------------------------------------------------------------

local scripts, anonymous = {}, nil

local function script_object(name, source, chunk)
  local run = tools.bind(chunk)
  local made, objects, getters, setters =
    tools.object("script", "script", true, nil, nil, function(_, ...) return run(...) end)
  local autorun = "no"
  objects.run, objects.save, objects.restore = run, function() end, function() end
  objects.list = function()
    print("loadscript " .. name)
    print(source)
    print("endscript")
  end
  getters.name = function() return name end
  setters.name = function(value)
    if type(value) ~= "string" then error("a name was expected", 2) end
    if scripts[name] == made then scripts[name] = nil end
    name = value
    if name ~= "" then scripts[name] = made end
  end
  getters.source = function() return source end
  getters.autorun = function() return autorun end
  setters.autorun = function(value)
    if value ~= "yes" and value ~= "no" then error("autorun is \"yes\" or \"no\"", 2) end
    autorun = value
  end
  return made
end

local function define(name, source)
  local chunk = compile(source)
  if not chunk then return nil end
  local made = script_object(name, source, chunk)
  if name == "" then
    anonymous = made
  else
    scripts[name] = made
    rawset(_G, name, made) -- a script may have given _G a metatable
  end
  return made
end

local function run_anonymous()
  if not anonymous then error("there is no anonymous script", 2) end
  return anonymous.run()
end

script = {
  new = function(source, name)
    if type(source) ~= "string" then error("the source of a script was expected", 2) end
    return define(type(name) == "string" and name or "", source)
  end,
  run = run_anonymous,
  delete = function(name) scripts[name] = nil end,
  restore = function(name) _G[name] = scripts[name] end,
  user = { scripts = scripts, catalog = function() return listed(sorted(scripts)) end },
  factory = {
    scripts = {},
    catalog = function() return listed({ "KIGeneral", "KIHighC", "KIParlib", "KIPulse", "KISavebuffer", "KISweep" }) end,
  },
}
script.newautorun = script.new
setmetatable(script, { __index = function(_, key) if key == "anonymous" then return anonymous end end })
run = run_anonymous

-- --- data queue and user strings ------------------------------------------------------------------------

local CAPACITY, queue = 128, {}
local _, objects, getters
dataqueue, objects, getters = tools.object("dataqueue", "", true)
objects.CAPACITY = CAPACITY
getters.count = function() return table.getn(queue) end
objects.clear = function() queue = {} end
objects.add = function(value, timeout)
  if type(value) == "function" then error("the data queue takes no functions", 2) end
  if table.getn(queue) >= CAPACITY then
    delay(timeout or 0)
    return false
  end
  insert(queue, value)
  return true
end
objects.next = function(timeout)
  if table.getn(queue) == 0 then
    delay(timeout or 0)
    return nil
  end
  return remove(queue, 1)
end

local strings = {}
userstring = {
  add = function(name, value)
    if type(name) ~= "string" or type(value) ~= "string" then error("two texts were expected", 2) end
    strings[name] = value
  end,
  get = function(name) return strings[name] end,
  delete = function(name) strings[name] = nil end,
  catalog = function() return listed(sorted(strings)) end,
}

-- --- nodes ----------------------------------------------------------------------------------------------

local shared = {
  "smua", "smub", "trigger", "display", "digio", "status", "beeper", "errorqueue", "format", "setup", "timer",
  "tsplink", "lan", "dataqueue", "userstring", "script", "eventlog", "bit",
}
local inside = tools.objects_of(localnode)
for k = 1, table.getn(shared) do
  inside[shared[k]] = _G[shared[k]]
end
inside.execute = function(source)
  local chunk = compile(source)
  if chunk then tools.bind(chunk)() end
end
inside.getglobal = function(name) return _G[name] end
inside.setglobal = function(name, value) _G[name] = value end
local local_node = localnode
node = setmetatable({}, {
  __index = function(_, number)
    if number == 1 then return local_node end
    error("`node[" .. (type(number) == "number" and number or type(number)) .. "]' is not modelled: the virtual instrument has no TSP-Link", 2)
  end,
})

return define
