-- Builds the world that scripts see, once per VM: Redis's globals and no others, none of which a script can change.
--
-- LuaJIT has no read-only tables. A locked table is an empty front whose __index leads to its contents: what exists is read through
-- it, every assignment meets __newindex. The functions that would go around that (rawset, setmetatable, table.insert) know
-- the fronts and refuse; those that look inside (pairs, next, rawget, getmetatable) see what Redis would show.
--
-- Arguments: the table `redis`; functions in Rust: an assignment to a locked table (a metamethod, reported with its line), the same from
-- a function (without, as in Redis), a read of a missing global, the random functions, coroutine.running and yield; whether the run is being taken down;
-- the libraries in Rust, by name; redis.register_function.
-- Results: the global table of all scripts; its contents, where each run puts KEYS and ARGV; its contents while a library of functions
-- is loaded.
local redis, assigned, refuse, missing, random, randomseed, running, yield, is_stopped, libraries, register_function = ...

local getmetatable, setmetatable, rawget, rawset, next, pairs = getmetatable, setmetatable, rawget, rawset, next, pairs
local pcall, xpcall, select, type, tostring, tonumber = pcall, xpcall, select, type, tostring, tonumber
local load, collectgarbage = load, collectgarbage
local source = _G

local contents_of = {} -- front -> what it shows
local metatable_of = {} -- front -> the front of its metatable, or false

local function lock(contents)
  local front = setmetatable({}, { __index = contents, __newindex = assigned })
  contents_of[front] = contents
  metatable_of[front] = false
  return front
end

local function choose(from, names)
  local chosen = {}
  for name in names:gmatch('%S+') do
    chosen[name] = from[name]
  end
  return chosen
end

local contents = choose(source, [[_VERSION assert error gcinfo ipairs rawequal select tonumber tostring type unpack]])

local string_library = choose(string, [[byte char dump len sub]])
string_library.gsub, string_library.match = libraries.string.gsub, libraries.string.match

-- LuaJIT compiles some of its own functions into a script's loops. Where they cannot run long they are still called, in tail position:
-- an error then shows the script's line and the name that the script has for the function.
local SHORT_BYTES = 4096
local native = choose(string, [[find format gmatch lower rep reverse upper]])
local ours = libraries.string

function string_library.rep(...)
  local text, count = ...
  if type(text) == 'string' and type(count) == 'number' and #text * count <= SHORT_BYTES and count < 1e9 then
    return native.rep(text, count)
  end
  return ours.rep(...)
end

-- Iterators are Lua functions: LuaJIT would take each native one for a new function.
local next_match, check_texts = ours.next_match, ours.check_texts
local function iterate(text, pattern)
  local place = { 0 }
  return function() return next_match(text, pattern, place) end
end

for name in ('lower reverse upper'):gmatch('%a+') do
  local short, long = native[name], ours[name]
  string_library[name] = load([[
    local type, short, long = ...
    return function(...)
      local text = ...
      if type(text) == 'string' and #text <= 4096 then return short(text) end
      return long(...)
    end]], '=sandbox')(type, short, long)
end

local find = native.find

-- What is known of the texts that come as patterns or formats: there are few, and they come often.
local function remembering(examine)
  local known, count = {}, 0
  return known, function(text)
    if type(text) ~= 'string' or #text > 64 then return false end
    if count == 256 then
      for other in next, known do known[other] = nil end
      count = 0
    end
    count = count + 1
    local answer = examine(text)
    known[text] = answer
    return answer
  end
end

-- How long a text LuaJIT's own functions may search for a pattern: long where what is repeated comes last, since nothing is then tried
-- twice, short where there is one repetition elsewhere, otherwise not at all.
local quick_patterns, examine_quick = remembering(function(pattern)
  if find(pattern, '^', 1, true) or find(pattern, '%b', 1, true) or find(pattern, '%f', 1, true) then return false end
  -- Classes that LuaJIT has and Lua 5.1 has not.
  if ours.find(pattern, '%%[^acdlpsuwxzACDLPSUWXZ%p]') then return false end
  local rest = ours.gsub(ours.gsub(pattern, '%%.', 'x'), '%[[^][]+%]', 'x')
  if find(rest, '%', 1, true) or find(rest, '[', 1, true) or find(rest, ']', 1, true) or find(rest, '(', 1, true) or find(rest, ')', 1, true) then return false end
  local _, repetitions = ours.gsub(rest, '[*+?-]', '')
  if repetitions == 0 or repetitions == 1 and ours.find(rest, '[*+?-]$') then return SHORT_BYTES end
  return repetitions == 1 and 256
end)

function string_library.gmatch(...)
  local text, pattern = ...
  if type(text) == 'number' then text = tostring(text) end
  if type(pattern) == 'number' then pattern = tostring(pattern) end
  if type(text) == 'string' and type(pattern) == 'string' then
    if #text <= SHORT_BYTES then
      local bytes_max = quick_patterns[pattern]
      if bytes_max == nil then bytes_max = examine_quick(pattern) end
      if bytes_max and #text <= bytes_max then return native.gmatch(text, pattern) end
    end
    return iterate(text, pattern)
  end
  return check_texts(...)
end

local find_any = ours.find
local plain_patterns, examine_pattern = remembering(libraries.string.is_plain)

function string_library.find(...)
  local text, pattern, start, plain = ...
  if type(text) == 'string' and #text <= SHORT_BYTES
    and (start == nil or type(start) == 'number' and start > -1e9 and start < 1e9) then
    local is_plain = plain_patterns[pattern]
    if is_plain == nil and pattern ~= nil then is_plain = examine_pattern(pattern) end
    if is_plain or plain and type(pattern) == 'string' and #pattern <= 64 then
      return find(text, pattern, start, true)
    end
  end
  return find_any(...)
end

-- Formats of numbers, and strings as they are: the number of values that they take.
local format, format_any = native.format, ours.format
local simple_formats, examine_format = remembering(function(form)
  local rest, numbers = ours.gsub(form, '%%[-0]?%d?%d?%.?%d?%d?[dfgxX]', '.')
  local text, strings = ours.gsub(rest, '%%s', '.')
  local count = numbers + strings
  return count <= 3 and not find(text, '%', 1, true) and count
end)

local function fits(value)
  if type(value) == 'number' then return value > -2^53 and value < 2^53 end
  return type(value) == 'string' and #value < 100 and not find(value, '\0', 1, true)
end

function string_library.format(...)
  local form, a, b, c = ...
  local count = simple_formats[form]
  if count == nil and form ~= nil then count = examine_format(form) end
  if count and select('#', ...) == count + 1 and (count < 1 or fits(a)) and (count < 2 or fits(b)) and (count < 3 or fits(c)) then
    return format(...)
  end
  return format_any(...)
end

string_library.gfind = string_library.gmatch
local table_library = choose(table, [[foreach foreachi getn remove]])

-- A few strings are joined by LuaJIT's own; they take no longer than the operator `..` would.
local concat, concat_many = table.concat, libraries.table.concat
function table_library.concat(...)
  local list = ...
  if type(list) == 'table' and select('#', ...) <= 2 and #list <= 128 then return concat(...) end
  return concat_many(...)
end

table_library.setn = libraries.table.setn
table_library.sort = libraries.table.sort
local math_library = choose(math, [[abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 max min
  modf pi pow rad sin sinh sqrt tan tanh]])
math_library.mod = math_library.fmod
math_library.random = random
math_library.randomseed = randomseed
local coroutine_library = choose(coroutine, [[status]])
coroutine_library.create = libraries.coroutine.create
coroutine_library.resume = libraries.coroutine.resume
local create, try_create = libraries.coroutine.create, libraries.coroutine.try_create
local resume_wrapped = libraries.coroutine.resume_wrapped
function coroutine_library.wrap(...)
  local thread = try_create(...)
  if not thread then return create(...) end
  return function(...) return resume_wrapped(thread, ...) end
end
coroutine_library.running = running
coroutine_library.yield = yield

-- Moving many elements is done in steps; LuaJIT's own is compiled where a script calls it often. What is no place near the end, or
-- becomes none when it is made an integer (a NaN, 2^31, a string), may be a long way.
local insert, insert_far = table.insert, libraries.table.insert
function table_library.insert(...)
  local list, place = ...
  if contents_of[list] then return refuse() end
  if select('#', ...) ~= 3 or type(list) ~= 'table' then return insert(...) end
  if type(place) == 'number' and place > #list - 1000 and place < 2147483648 then return insert(...) end
  return insert_far(...)
end

local maxn = table.maxn
function table_library.maxn(...)
  local list = ...
  if type(list) ~= 'table' then return maxn(...) end
  local largest = 0
  for key in next, contents_of[list] or list do
    if type(key) == 'number' and key > largest then largest = key end
  end
  return largest
end

function contents.setmetatable(object, ...)
  if contents_of[object] then return refuse() end
  return setmetatable(object, ...)
end

function contents.rawset(object, ...)
  if contents_of[object] then return refuse() end
  return rawset(object, ...)
end

function contents.rawget(object, ...)
  return rawget(contents_of[object] or object, ...)
end

function contents.next(object, ...)
  return next(contents_of[object] or object, ...)
end

function contents.pairs(object)
  if contents_of[object] then return contents.next, object, nil end
  return pairs(object)
end

-- What pcall catches from redis.call is a table; a script gets its text, as Redis has it.
local function caught(succeeded, ...)
  local problem = ...
  if succeeded or type(problem) ~= 'table' then return succeeded, ... end
  local text = problem.err
  if type(text) == 'string' or type(text) == 'number' then return false, text end
  return false, problem, text
end

function contents.pcall(...)
  return caught(pcall(...))
end

-- The handler of an error that takes the run down would run where no hook reaches it; one that raises again and again uses the native
-- stack up.
function contents.xpcall(action, handler)
  return xpcall(action, function(problem)
    if is_stopped() then return problem end
    return handler(problem)
  end)
end

contents.load = libraries.base.load
contents.loadstring = libraries.base.loadstring

local collect = libraries.base.collect
-- The collector is the shard's: a script may look at it and hurry it, not stop it.
function contents.collectgarbage(option, argument)
  if option == nil or option == 'collect' then return collect() end
  if option == 'stop' or option == 'restart' then return 0 end
  if option == 'setpause' or option == 'setstepmul' then return 200 end
  return collectgarbage(option, argument)
end

local string_metatable = getmetatable('')
string_metatable.__index = string_library

contents.string = lock(string_library)
contents.table = lock(table_library)
contents.math = lock(math_library)
local bit_library = choose(bit, [[arshift band bnot bor bswap bxor lshift rol ror rshift tobit]])
-- LuaJIT gives as many digits as one asks for, also more than a number has.
local tohex, tobit = bit.tohex, bit.tobit
function bit_library.tohex(...)
  local number, digits = ...
  digits = tonumber(digits)
  if not digits then return tohex(...) end
  digits = tobit(digits)
  return tohex(number, digits > 8 and 8 or digits < -8 and -8 or digits)
end
contents.bit = lock(bit_library)
contents.coroutine = lock(coroutine_library)
contents.os = lock({ clock = os.clock })
contents.redis = lock(redis)
contents.server = contents.redis -- as Valkey calls it
contents.cjson = lock(libraries.cjson)
contents.cmsgpack = lock(libraries.cmsgpack)
contents.struct = lock(libraries.struct)

setmetatable(contents, { __index = missing })
local globals = lock(contents)
contents._G = globals

metatable_of[globals] = lock({ __index = missing })
local string_metatable_front = lock({ __index = contents.string })

function contents.getmetatable(object)
  if type(object) == 'string' then return string_metatable_front end
  local front = metatable_of[object]
  if front ~= nil then return front or nil end
  return getmetatable(object)
end

-- A library registers its functions in a world that has nothing else.
local loading_redis = choose(redis, [[log LOG_DEBUG LOG_VERBOSE LOG_NOTICE LOG_WARNING REDIS_VERSION REDIS_VERSION_NUM
  SERVER_NAME SERVER_VERSION SERVER_VERSION_NUM]])
loading_redis.register_function = register_function
local loading_front = lock(setmetatable(loading_redis, { __index = missing }))
metatable_of[loading_front] = lock({ __index = missing })
local loading = setmetatable({ redis = loading_front, server = loading_front }, { __index = missing })

return globals, contents, loading
