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
local pcall, xpcall, load, type, error, collectgarbage, insert = pcall, xpcall, load, type, error, collectgarbage, table.insert
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

local string_library = choose(string, [[byte char dump find format gmatch gsub len lower match rep reverse sub upper]])
string_library.gfind = string_library.gmatch
local table_library = choose(table, [[concat foreach foreachi getn maxn remove sort]])
local math_library = choose(math, [[abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 max min
  modf pi pow rad sin sinh sqrt tan tanh]])
math_library.mod = math_library.fmod
math_library.random = random
math_library.randomseed = randomseed
local coroutine_library = choose(coroutine, [[create resume status wrap]])
coroutine_library.running = running
coroutine_library.yield = yield

function table_library.insert(list, ...)
  if contents_of[list] then return refuse() end
  return insert(list, ...)
end

function table_library.setn()
  return error("'setn' is obsolete", 2)
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

-- The handler of an error that takes the run down would run where no hook reaches it.
function contents.xpcall(action, handler)
  return xpcall(action, function(problem)
    if is_stopped() then return problem end
    return handler(problem)
  end)
end

-- Text only: bytecode is not checked by the VM that runs it.
function contents.load(chunk, name)
  return load(chunk, name, 't')
end
contents.loadstring = contents.load

-- The collector is the shard's: a script may look at it and hurry it, not stop it.
function contents.collectgarbage(option, argument)
  if option == nil then return collectgarbage() end
  if option == 'stop' or option == 'restart' then return 0 end
  if option == 'setpause' or option == 'setstepmul' then return 200 end
  return collectgarbage(option, argument)
end

local string_metatable = getmetatable('')
string_metatable.__index = string_library

contents.string = lock(string_library)
contents.table = lock(table_library)
contents.math = lock(math_library)
contents.bit = lock(choose(bit, [[arshift band bnot bor bswap bxor lshift rol ror rshift tobit tohex]]))
contents.coroutine = lock(coroutine_library)
contents.os = lock({ clock = os.clock })
contents.redis = lock(redis)
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
local loading_redis = choose(redis, [[log LOG_DEBUG LOG_VERBOSE LOG_NOTICE LOG_WARNING REDIS_VERSION REDIS_VERSION_NUM]])
loading_redis.register_function = register_function
local loading_front = lock(setmetatable(loading_redis, { __index = missing }))
metatable_of[loading_front] = lock({ __index = missing })
local loading = setmetatable({ redis = loading_front }, { __index = missing })

return globals, contents, loading
