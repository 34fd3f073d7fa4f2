//! The functions of strings, tables and coroutines here and in a real Redis, where one is installed: what Lua 5.1 says of their corners,
//! and thousands of random patterns, texts and tables.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use crate::script::fake_host::Bench;
use crate::script::oracle_tests::Redis;

const SCRIPTS: &[&str] = &[
    r#"return {pcall(string.rep)}"#,
    r#"string.rep()"#,
    r#"return string.rep('x', 3, ',')"#,
    r#"return {pcall(string.rep,'x','y')}"#,
    r#"return {pcall(string.rep,'x',-1)}"#,
    r#"return {pcall(string.find,'x','(')}"#,
    r#"return {pcall(string.find,'x','%')}"#,
    r#"return {pcall(string.find,'x','[a')}"#,
    r#"return {pcall(string.find,'x','[a%')}"#,
    r#"return {pcall(string.find,'x',')')}"#,
    r#"return {pcall(string.find,'x','%1')}"#,
    r#"return {pcall(string.find,'x','(x%1)')}"#,
    r#"return {pcall(string.find,'x','%b')}"#,
    r#"return {pcall(string.find,'x','%bx')}"#,
    r#"return {pcall(string.find,'x','%f')}"#,
    r#"return {pcall(string.find,'x','%fx')}"#,
    r#"return {pcall(string.find,'x','[]')}"#,
    r#"return {pcall(string.find,'x','[^')}"#,
    r#"return {pcall(string.find,'x',('()'):rep(33))}"#,
    r#"return {pcall(string.find,'x',('()'):rep(32))}"#,
    r#"local s=('('):rep(100) return {pcall(string.find,s,'(x')}"#,
    r#"return {pcall(string.gsub,'abc','%w','%2')}"#,
    r#"return {pcall(string.gsub,'abc','%w','%')}"#,
    r#"return {pcall(string.gsub,'abc','%w','%x')}"#,
    r#"return {pcall(string.gsub,'abc','%w',true)}"#,
    r#"return {pcall(string.gsub,'abc','%w')}"#,
    r#"return {pcall(string.gsub,'abc','%w',function() return {} end)}"#,
    r#"return {pcall(string.gsub,'abc','%w',function() return true end)}"#,
    r#"return {pcall(string.gsub,'abc','%w',{a={}})}"#,
    r#"return {pcall(string.gsub,'abc','%w',{a=false,b='B',c=5})}"#,
    r#"return {pcall(string.gsub,'abc','%w',setmetatable({},{__index=function(t,k) error('x') end}))}"#,
    r#"return {pcall(string.gsub,'abc','','-')}"#,
    r#"return {pcall(string.gsub,'abc','%w','x',-1)}"#,
    r#"return {pcall(string.gsub,'abc','%w','x',1.9)}"#,
    r#"return {pcall(string.gsub,'abc','%w','x',{})}"#,
    r#"return {pcall(string.gsub,'abc','(',5)}"#,
    r#"return {pcall(string.gmatch)}"#,
    r#"return {pcall(string.gmatch,'x')}"#,
    r#"return {pcall(string.gmatch('x','('))}"#,
    r#"local t={} for k in string.gmatch('abc','^a') do t[#t+1]=k end return t"#,
    r#"local t={} for k in string.gmatch('a^abc','^a') do t[#t+1]=k end return t"#,
    r#"local t={} for k in string.gmatch('abc','') do t[#t+1]=k..'|' end return t"#,
    r#"local t={} for k,v in string.gmatch('abc','()(b)') do t[#t+1]=k t[#t+1]=v end return t"#,
    r#"for k in string.gmatch('abc',function() end) do end"#,
    r#"return {('x'):find('')}"#,
    r#"return {('x'):find('',10)}"#,
    r#"return {('x'):find('',2)}"#,
    r#"return {('x'):find('',3)}"#,
    r#"return {('abc'):find('b',-1)}"#,
    r#"return {('abc'):find('b',-10)}"#,
    r#"return {('abc'):find('b',1,true)}"#,
    r#"return {('abc'):find('(b',1,true)}"#,
    r#"return {('abc'):find('b','x')}"#,
    r#"return {('abc'):find({})}"#,
    r#"return {('abc'):match('b','2')}"#,
    r#"return {('abc'):match('b','2.7')}"#,
    r#"return {('abc'):find('b',2^40)}"#,
    r#"return {('abc'):find('b',-2^40)}"#,
    r#"return {('abc'):find('b',0/0)}"#,
    r#"return {('a\0b'):find('%z')}"#,
    r#"return {('a\0b'):find('\0')}"#,
    r#"return {('a\0b'):find('\0b')}"#,
    r#"return {('a\0b'):find('[\0]')}"#,
    r#"return {('a\0b'):find('[%z]')}"#,
    r#"return {('a\0b'):find('a.b')}"#,
    r#"return {('a\0b'):find('a\0x')}"#,
    r#"return {('a\0b'):find('.\0x')}"#,
    r#"return {('a\0b'):find('.\0b')}"#,
    r#"return {('a\0b'):find('[^a]\0')}"#,
    r#"return {('THE (quick) fox'):find('%((%a+)%)')}"#,
    r#"return {('THE (quick) fox'):gsub('%f[%a]%a+','<%0>')}"#,
    r#"return {('hello'):gsub('%f[%z]','<%0>')}"#,
    r#"return {('hello world'):match('^(%w+)')}"#,
    r#"return {('  x '):match('^%s*(.-)%s*$')}"#,
    r#"return {('x^'):find('x^')}"#,
    r#"return {('x$y'):find('x$y')}"#,
    r#"return {('x'):find('x$')}"#,
    r#"return {('aé'):find('%a',2)}"#,
    r#"return {pcall(string.find,'a','[a-]')}"#,
    r#"return {pcall(string.find,'a-','[a-]+')}"#,
    r#"return {pcall(string.find,'a]','[]]')}"#,
    r#"return {pcall(string.find,'a]','[^]]')}"#,
    r#"return {pcall(string.find,'a','[%a-z]')}"#,
    r#"return {pcall(string.find,'-','[%a-z]')}"#,
    r#"return {pcall(string.find,'%','[%%]')}"#,
    r#"return {pcall(string.find,'abc','[a-%%]')}"#,
    r#"return {pcall(string.find,'abc','[z-a]')}"#,
    r#"return {pcall(string.match,'abc','()b()')}"#,
    r#"return {pcall(string.match,'abc','(b)%1')}"#,
    r#"return {pcall(string.match,'abbc','(b)%1')}"#,
    r#"return {pcall(string.match,'abbc','%0')}"#,
    r#"return {pcall(string.match,'ab','()%1')}"#,
    r#"return {pcall(string.match,'abbc','()%1')}"#,
    r#"return {pcall(string.match,'abbc','(()b)%2')}"#,
    r#"return {pcall(string.match,'(a(b)c)','%b()')}"#,
    r#"return {pcall(string.match,'(a(b)c','%b()')}"#,
    r#"return {pcall(string.match,'xaax','%bxx')}"#,
    r#"return {pcall(string.match,'x\\','\\')}"#,
    r#"return {pcall(string.match,'abc','((a)(b))')}"#,
    r#"return {pcall(string.match,'abc','((a)(b)')}"#,
    r#"return {pcall(string.match,'abc','(a))')}"#,
    r#"return {pcall(string.gsub,'abc','(a','x')}"#,
    r#"return {pcall(string.gsub,'abc','a)','x')}"#,
    r#"return {pcall(string.gsub,'abc','(b)','%1%1%0%%')}"#,
    r#"return {pcall(string.gsub,'abc','b','%1')}"#,
    r#"return {pcall(string.gsub,'abc','()','%1')}"#,
    r#"return {pcall(string.gsub,'abc','()',{'x',[3]='z'})}"#,
    r#"return {pcall(string.gsub,'hello','l','x',0)}"#,
    r#"return {pcall(string.gsub,'hello','^h','x')}"#,
    r#"return {pcall(string.gsub,'hhh','^h','x')}"#,
    r#"return {pcall(string.gsub,'hello','o$','x')}"#,
    r#"return {pcall(string.gsub,'hello','%','x')}"#,
    r#"return {pcall(string.gsub,'','^','x')}"#,
    r#"return {pcall(string.gsub,'','','x')}"#,
    r#"return {pcall(string.gsub, 123, 2, 5)}"#,
    r#"return {pcall(string.gsub, 'abc', 'b*', '-')}"#,
    r#"return {pcall(table.sort,{3,2,'x'})}"#,
    r#"return {pcall(table.sort,{3,2,{}})}"#,
    r#"return {pcall(table.sort,{{},{}})}"#,
    r#"return {pcall(table.sort,{3,2,nil,4})}"#,
    r#"return {pcall(table.sort,{1,2},5)}"#,
    r#"return {pcall(table.sort,{1,2},nil)}"#,
    r#"return {pcall(table.sort,5)}"#,
    r#"return {pcall(table.sort)}"#,
    r#"return {pcall(table.sort,{1,2,3,4,5},function() return true end)}"#,
    r#"local t={} for i=1,100 do t[i]=i%7 end return {pcall(table.sort,t,function() return true end)}"#,
    r#"local t={} for i=1,100 do t[i]=i%7 end return {pcall(table.sort,t,function(a,b) return a<=b end)}"#,
    r#"local t={} for i=1,100 do t[i]=1 end return {pcall(table.sort,t,function(a,b) return a<=b end)}"#,
    r#"local t={1,1,1} return {pcall(table.sort,t,function(a,b) return not(a>b) end)}"#,
    r#"table.sort({1,2,3,4,5},function() return true end)"#,
    r#"table.sort({1,2,3},function(a,b) error('x') end)"#,
    r#"table.sort({1,'a'})"#,
    r#"table.sort({true,false})"#,
    r#"return {pcall(table.concat,{1,2,{}})}"#,
    r#"return {pcall(table.concat,{1,2,nil,4},',',1,4)}"#,
    r#"return {pcall(table.concat,{1,2.5,'x'},', ')}"#,
    r#"return {pcall(table.concat,{1,2,3},',',2)}"#,
    r#"return {pcall(table.concat,{1,2,3},',',2,2)}"#,
    r#"return {pcall(table.concat,{1,2,3},',',3,2)}"#,
    r#"return {pcall(table.concat,{1,2,3},5)}"#,
    r#"return {pcall(table.concat,{1,2,3},{})}"#,
    r#"return {pcall(table.concat,{1,2,3},nil)}"#,
    r#"return {pcall(table.concat,5)}"#,
    r#"return {pcall(table.concat,{1,2,3},',','x')}"#,
    r#"return {pcall(table.concat,{1,2,3},',',-1,1)}"#,
    r#"table.concat({1,{}})"#,
    r#"return {pcall(table.concat,setmetatable({},{__index=function() return 'x' end}),',',1,3)}"#,
    r#"return {pcall(unpack,{1,2,3},2)}"#,
    r#"return {pcall(unpack,{1,2,3},2,3)}"#,
    r#"return {pcall(unpack,{1,2,3},3,2)}"#,
    r#"return {pcall(unpack,{},1,7990)}"#,
    r#"return {pcall(unpack,{},1,8000)}"#,
    r#"return {pcall(unpack,{},1,7900)}"#,
    r#"return {pcall(unpack,{},1,1e6)}"#,
    r#"return {pcall(unpack,{},1,2^31)}"#,
    r#"return {pcall(unpack,{},-2^31,2^31)}"#,
    r#"return {pcall(unpack,5)}"#,
    r#"return {pcall(unpack)}"#,
    r#"return {pcall(unpack,{},'x')}"#,
    r#"unpack({},1,1e7)"#,
    r#"return {select('#',unpack({},1,7000))}"#,
    r#"return select('#',string.byte(('x'):rep(7900),1,-1))"#,
    r#"return select('#',string.byte(('x'):rep(7990),1,-1))"#,
    r#"return {pcall(string.byte,'abc',-2,-1)}"#,
    r#"return {pcall(string.byte,'abc',0)}"#,
    r#"return {pcall(string.byte,'abc',10)}"#,
    r#"return {pcall(string.byte,'abc',2,'x')}"#,
    r#"return {pcall(string.char,256)}"#,
    r#"return {pcall(string.char,-1)}"#,
    r#"return {pcall(string.char,65.7,'66')}"#,
    r#"return {pcall(string.char,{})}"#,
    r#"return {pcall(string.sub,'abc')}"#,
    r#"return {pcall(string.sub,'abc',2.7)}"#,
    r#"return {pcall(string.sub,'abc','2')}"#,
    r#"return {pcall(string.sub,'abc',-2)}"#,
    r#"return {pcall(string.upper)}"#,
    r#"return {pcall(string.upper,5)}"#,
    r#"return {pcall(string.upper,'é')}"#,
    r#"return {pcall(string.upper,{})}"#,
    r#"return {pcall(string.reverse,{})}"#,
    r#"return {pcall(string.len,{})}"#,
    r#"return {pcall(string.dump,function() end) , 1}"#,
    r#"return type(string.dump(function() end))"#,
    r#"return {pcall(string.dump,5)}"#,
    r#"return {pcall(table.insert,{},1,2,3)}"#,
    r#"return {pcall(table.insert,{})}"#,
    r#"return {pcall(table.insert,5,1)}"#,
    r#"return {pcall(table.insert,{},'x',1)}"#,
    r#"local t={1,2} table.insert(t,5,9) return {t[1],t[2],t[5],#t}"#,
    r#"local t={1,2} table.insert(t,0,9) return {t[0],t[1],t[2],t[3]}"#,
    r#"local t={1,2} table.insert(t,-3,9) return {t[-3] or 'n',t[0] or 'n',t[1],t[2] or 'n',t[3] or 'n'}"#,
    r#"local t={1,2,3} return {table.remove(t,2),#t}"#,
    r#"local t={1,2,3} return {table.remove(t,10) or 'n',#t}"#,
    r#"local t={1,2,3} return {table.remove(t,0) or 'n',#t}"#,
    r#"local t={1,2,3} return {table.remove(t,'x') or 'n',#t}"#,
    r#"local t={1,2,3} return {table.remove(t,4) or 'n',#t}"#,
    r#"local t={} return {table.remove(t) or 'n',#t}"#,
    r#"local t={} return select('#',table.remove(t))"#,
    r#"local t={1} return select('#',table.remove(t,5))"#,
    r#"return {pcall(table.remove,{},{})}"#,
    r#"return {pcall(table.maxn,{1,2,[10.5]=1})}"#,
    r#"return tostring(table.maxn({1,2,[10.5]=1}))"#,
    r#"return {pcall(table.maxn,5)}"#,
    r#"return {pcall(table.foreach,{1,2},function(k,v) return k end)}"#,
    r#"return {pcall(table.foreach,{1,2},5)}"#,
    r#"return {pcall(table.foreach,{},5)}"#,
    r#"return {pcall(table.foreach,5)}"#,
    r#"return {pcall(table.foreachi,{1,2},function(k,v) if k==2 then return v end end)}"#,
    r#"return {pcall(table.foreachi,{1,2},function(k,v) error('x') end)}"#,
    r#"return {pcall(table.foreachi,{1,2},function(k,v) return false end)}"#,
    r#"return {pcall(table.getn,5)}"#,
    r#"return {pcall(table.getn,{1,2})}"#,
    r#"return {pcall(table.setn,{},1)}"#,
    r#"table.setn({},1)"#,
    r#"return {pcall(table.setn,5,1)}"#,
    r#"return tostring(table.unpack)"#,
    r#"return tostring(table.pack)"#,
    r#"return tostring(table.move)"#,
    r#"return tostring(table.new)"#,
    r#"return tostring(table.clear)"#,
    r#"return {pcall(string.format,'%d',3.5)}"#,
    r#"return {pcall(string.format,'%d',-3.5)}"#,
    r#"return {pcall(string.format,'%d','3')}"#,
    r#"return {pcall(string.format,'%d','x')}"#,
    r#"return {pcall(string.format,'%d',2^31)}"#,
    r#"return {pcall(string.format,'%d',2^63)}"#,
    r#"return {pcall(string.format,'%d',1/0)}"#,
    r#"return {pcall(string.format,'%d',0/0)}"#,
    r#"return {pcall(string.format,'%u',-1)}"#,
    r#"return {pcall(string.format,'%x',-1)}"#,
    r#"return {pcall(string.format,'%X',255)}"#,
    r#"return {pcall(string.format,'%#x',255)}"#,
    r#"return {pcall(string.format,'%o',8)}"#,
    r#"return {pcall(string.format,'%c',65)}"#,
    r#"return {pcall(string.format,'%c',0)}"#,
    r#"return {pcall(string.format,'%5c|',65)}"#,
    r#"return {pcall(string.format,'%i',5)}"#,
    r#"return {pcall(string.format,'%e',1/3)}"#,
    r#"return {pcall(string.format,'%g',1/3)}"#,
    r#"return {pcall(string.format,'%g',1e15)}"#,
    r#"return {pcall(string.format,'%g',100)}"#,
    r#"return {pcall(string.format,'%G',1e-10)}"#,
    r#"return {pcall(string.format,'%E',1e-10)}"#,
    r#"return {pcall(string.format,'%a',1.5)}"#,
    r#"return {pcall(string.format,'%A',1.5)}"#,
    r#"return {pcall(string.format,'%f',1e308)}"#,
    r#"return {pcall(string.format,'%99.99f',1e308)}"#,
    r#"return {pcall(string.format,'%s',nil)}"#,
    r#"return {pcall(string.format,'%s',{})}"#,
    r#"return {pcall(string.format,'%s',true)}"#,
    r#"return {pcall(string.format,'%s',5)}"#,
    r#"return {pcall(string.format,'%s',1e15)}"#,
    r#"return {pcall(string.format,'%s')}"#,
    r#"return {pcall(string.format,'%d')}"#,
    r#"return {pcall(string.format,'%10s|','abc')}"#,
    r#"return {pcall(string.format,'%-10s|','abc')}"#,
    r#"return {pcall(string.format,'%.2s|','abc')}"#,
    r#"return {pcall(string.format,'%.2s|','a\0bc')}"#,
    r#"return {pcall(string.format,'%s|','a\0bc')}"#,
    r#"return {pcall(string.format,'%5s|','a\0bc')}"#,
    r#"return {pcall(string.format,'%s|',('x'):rep(200)..'\0y')}"#,
    r#"return {pcall(string.format,'%5s|',('x'):rep(120)..'\0y')}"#,
    r#"return {pcall(string.format,'%200s|','x')}"#,
    r#"return {pcall(string.format,'%.200s|','x')}"#,
    r#"return {pcall(string.format,'%099d|',5)}"#,
    r#"return {pcall(string.format,'%-+ #0d|',5)}"#,
    r#"return {pcall(string.format,'%-+ #00d|',5)}"#,
    r#"return {pcall(string.format,'%-+ #0-d|',5)}"#,
    r#"return {pcall(string.format,'%y',5)}"#,
    r#"return {pcall(string.format,'%',5)}"#,
    r#"return {pcall(string.format,'%10',5)}"#,
    r#"return {pcall(string.format,'%ld',5)}"#,
    r#"return {pcall(string.format,'%p',{})}"#,
    r#"return {pcall(string.format,'%q','a\nb"c\\d\0e\r\t\1'..'1')}"#,
    r#"return {pcall(string.format,'%q',5)}"#,
    r#"return {pcall(string.format,'%q',nil)}"#,
    r#"return {pcall(string.format,'%5q','x')}"#,
    r#"return {pcall(string.format,'%%')}"#,
    r#"return {pcall(string.format,'%5%')}"#,
    r#"return {pcall(string.format)}"#,
    r#"return {pcall(string.format,{})}"#,
    r#"return {pcall(string.format,'a\0%d',5)}"#,
    r#"return {pcall(string.format,'% d|%+d|%05d|%-5d|%5d',5,5,5,5,5)}"#,
    r#"return {pcall(string.format,'%.3d|%10.3d|%.0d|',5,5,0)}"#,
    r#"return {pcall(string.format,'%.20f',0.1)}"#,
    r#"return {pcall(string.format,'%.14g',0.1)}"#,
    r#"return {pcall(string.format,'%f %f %f',1/0,-1/0,0/0)}"#,
    r#"return {pcall(string.format,'%5.1f|%-8.2e|%+g|%#g|% g|%010g',1.25,1.25,1.25,1.25,1.25,1.25)}"#,
    r#"return {pcall(string.format,'%x',3.7)}"#,
    r#"return {pcall(string.format,'%x',2^53)}"#,
    r#"return {pcall(string.format,'%x',2^64)}"#,
    r#"return {pcall(string.format,'%u',2^63)}"#,
    r#"return {pcall(string.format,'%d',-2^63)}"#,
    r#"return {pcall(string.format,'%d',1e300)}"#,
    r#"return {pcall(string.format,'%s %s',1)}"#,
    r#"return {pcall(string.format,'%s',setmetatable({},{__tostring=function() return 'x' end}))}"#,
    r#"return {tostring(1e15),tostring(1e14),tostring(123456789012345),tostring(2^53),tostring(-0),tostring(0.1),tostring(1e100)}"#,
    r#"return {tostring(setmetatable({},{__tostring=function() return 5 end}))}"#,
    r#"return {pcall(tostring,setmetatable({},{__tostring=function() return nil end}))}"#,
    r#"return {pcall(tostring)}"#,
    r#"return {pcall(tonumber,'0x1p4')}"#,
    r#"return {pcall(tonumber,'10',2)}"#,
    r#"return {pcall(tonumber,'z',36)}"#,
    r#"return {pcall(tonumber,'8',8)}"#,
    r#"return {pcall(tonumber,'1',1)}"#,
    r#"return {pcall(tonumber)}"#,
    r#"return {pcall(tonumber,'inf')}"#,
    r#"return {pcall(tonumber,'nan')}"#,
    r#"return {pcall(tonumber,' 5 ')}"#,
    r#"return {pcall(tonumber,'5LL')}"#,
    r#"return {pcall(tonumber,'5i')}"#,
    r#"return {pcall(select,-1,1,2)}"#,
    r#"return {pcall(select,0)}"#,
    r#"return {pcall(select,-5,1)}"#,
    r#"return {pcall(load)}"#,
    r#"return {pcall(load,'return 1')}"#,
    r#"return {pcall(load,function() return {} end)}"#,
    r#"return {pcall(load,function() error('x') end)}"#,
    r#"return {pcall(loadstring)}"#,
    r#"return {pcall(loadstring,{})}"#,
    r#"return {pcall(loadstring,'x x x')}"#,
    r#"return {pcall(loadstring,'x x x','=name')}"#,
    r#"return {pcall(loadstring,'x x x','@name')}"#,
    r#"return {pcall(loadstring,'x x x','name')}"#,
    r#"return {pcall(loadstring,string.rep('x ',100))}"#,
    r#"return {pcall(loadstring,'\27Lua')}"#,
    r#"local n=0 local f=load(function() n=n+1 return ({'ret','urn',' ','7'})[n] end) return f()"#,
    r#"return {load(function() return '\27LJ' end)}"#,
    r#"return {pcall(load, function() return 'x x' end)}"#,
    r#"return {pcall(load, function() return 'x x' end,'=foo')}"#,
    r#"return {pcall(collectgarbage)}"#,
    r#"return {pcall(collectgarbage,'step',100)}"#,
    r#"return {pcall(collectgarbage,'x')}"#,
    r#"return {pcall(collectgarbage,'setpause',100)}"#,
    r#"return {pcall(collectgarbage,'setstepmul',100)}"#,
    r#"return {pcall(collectgarbage,5)}"#,
    r#"return {pcall(collectgarbage,'collect')}"#,
    r#"return collectgarbage('step')"#,
    r#"local function f(n) local c=coroutine.create(function() return f(n+1) end) return coroutine.resume(c) end return {f(1)}"#,
    r#"local max=0 local function f(n) max=n local c=coroutine.create(function() return f(n+1) end) return coroutine.resume(c) end f(1) return max"#,
    r#"local max=0 local function f(n) max=n local a,b=coroutine.resume(coroutine.create(function() return f(n+1) end)) return a,b,n end local a,b=f(1) return {max,tostring(a),tostring(b)}"#,
    r#"local max=0 local function f(n) max=n string.gsub('a','a',function() f(n+1) end) end local ok,e=pcall(f,1) return {max,e}"#,
    r#"local max=0 local function f(n) max=n table.sort({1,2},function() f(n+1) end) end local ok,e=pcall(f,1) return {max,e}"#,
    r#"local t=setmetatable({},{__lt=function(a,b) error('lt') end}) local u=setmetatable({},getmetatable(t)) return {pcall(table.sort,{t,u})}"#,
    r#"local c c=coroutine.wrap(function() c() end) c()"#,
    r#"local c c=coroutine.create(function() return coroutine.resume(c) end) return {coroutine.resume(c)}"#,
    r#"return {pcall(coroutine.resume,5)}"#,
    r#"return {pcall(coroutine.create,5)}"#,
    r#"return {pcall(coroutine.wrap,5)}"#,
    r#"local c=coroutine.create(function() end) coroutine.resume(c) return {coroutine.resume(c)}"#,
    r#"local c=coroutine.wrap(function() end) c() return {pcall(c)}"#,
    r#"local c=coroutine.wrap(function() error('x') end) c()"#,
    r#"local c=coroutine.wrap(function() error({}) end) local ok,e=pcall(c) return type(e)"#,
    r#"local c=coroutine.wrap(function() error({err='ERR foo'}) end) local ok,e=pcall(c) return e"#,
    r#"local c=coroutine.create(function() error({err='ERR foo'}) end) local ok,e=coroutine.resume(c) return {type(e)}"#,
    r#"local c=coroutine.wrap(function() error('x',0) end) return {pcall(c)}"#,
    r#"coroutine.wrap(function() local x=nil; x() end)()"#,
    r#"return {pcall(coroutine.status,5)}"#,
    r#"local c=coroutine.wrap(function() return redis.call('nosuch') end) local ok,e=pcall(c) return {e}"#,
    r#"coroutine.wrap(function() return redis.call('nosuch') end)()"#,
    r#"local c=coroutine.wrap(function() string.gsub('a','a',function() coroutine.yield(1) end) end) return {pcall(c)}"#,
    r#"local c=coroutine.wrap(function() table.sort({1,2},function() coroutine.yield(1) end) end) return {pcall(c)}"#,
    r#"local c=coroutine.wrap(function() load(function() coroutine.yield(3) end) return 2 end) return {pcall(c)}"#,
    r#"return {coroutine.resume(coroutine.create(function(...) return select('#',...) end),1,nil,nil)}"#,
    r#"string.gsub('a','a',function() error('x') end)"#,
    r#"string.gsub('a','a',function() local x=nil; x() end)"#,
    r#"string.gsub('a','(','x')"#,
    r#"return string.gsub('a','(','x')"#,
    r#"return ('a'):gsub('(','x')"#,
    r#"for k in ('a'):gmatch('(') do end"#,
    r#"local s = string.find('a','[')"#,
    r#"local f=string.find local s=f('a','[')"#,
    r#"local t={f=string.find} local s=t.f('a')"#,
    r#"local s=('x'):find()"#,
    r#"local s=('x').find()"#,
    r#"('x'):rep({})"#,
    r#"local x=('x'):rep({})"#,
    r#"local x=('x').rep({})"#,
    r#"local x=table.concat({},{})"#,
    r#"table.sort({3,1,2},function(a,b) return a.x<b end)"#,
];

/// Runs scripts in both; what differs.
fn differences<'a>(redis: &mut Redis, bench: &mut Bench, scripts: impl IntoIterator<Item = &'a str>) -> String {
    let mut different = String::new();
    for source in scripts {
        let theirs = String::from_utf8_lossy(&redis.command(&["EVAL", source, "0"])).into_owned();
        let ours = bench.run(source, &[], &[]).1;
        if ours != theirs {
            different += &format!("{source}\n  redis {theirs:?}\n  here  {ours:?}\n");
        }
    }
    different
}

#[test]
fn corners_are_as_in_a_real_redis() {
    let Some(mut redis) = Redis::start() else {
        eprintln!("no redis-server here: the comparison is left out");
        return;
    };
    let different = differences(&mut redis, &mut Bench::new(), SCRIPTS.iter().copied());
    assert!(different.is_empty(), "\n{different}");
}

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.roll(choices.len())]
    }

    fn text(&mut self, choices: &[&str], len_max: usize) -> String {
        (0..self.roll(len_max + 1)).map(|_| self.pick(choices)).collect()
    }
}

/// Joins what a function returns, so that a reply shows all of it.
const SHOW: &str = "local function show(...) local t = {} for i = 1, select('#', ...) do t[i] = type(select(i, ...)) .. ':' .. \
    tostring((select(i, ...))) end return table.concat(t, '|') end ";

/// Many cases in one script, whose replies come as one list.
fn compare_in_batches(mut next: impl FnMut() -> String, batches: usize) {
    let Some(mut redis) = Redis::start() else {
        eprintln!("no redis-server here: the comparison is left out");
        return;
    };
    let mut bench = Bench::new();
    let mut different = String::new();
    for _ in 0..batches {
        let cases: Vec<String> = (0..50).map(|_| next()).collect();
        let source = |cases: &[String]| {
            let calls: Vec<String> =
                cases.iter().map(|case| format!("r[#r + 1] = show(pcall(function() {case} end))\n")).collect();
            format!("{SHOW} local r = {{}}\n{}return r", calls.concat())
        };
        if differences(&mut redis, &mut bench, [&*source(&cases)]).is_empty() {
            continue;
        }
        for case in &cases {
            different += &differences(&mut redis, &mut bench, [&*source(std::slice::from_ref(case))]);
        }
    }
    let shown: String = different.chars().take(4000).collect();
    assert!(different.is_empty(), "\n{shown}");
}

#[test]
fn random_patterns_match_as_in_a_real_redis() {
    const PIECES: &[&str] = &[
        "a", "b", ".", "%a", "%d", "%s", "%w", "%W", "%p", "%z", "%x", "%A", "[ab]", "[^a]", "[a-c%d]", "[]]", "[%]a]",
        "(", ")", "()", "(a)", "(.-)", "(b*)", "*", "+", "-", "?", "%1", "%2", "%b()", "%bab", "%f[%w]", "%f[^a]", "^",
        "$", "%", "[", "[^", "%%", "%.", "\\0", "]", "1", "[a-]", "[%a-z]", "%g", "[z-a]",
    ];
    const TEXTS: &[&str] = &["a", "b", "c", "ab", "(", ")", "1", "23", " ", ".", "\\0", "aa", "]", "-", "%", "Z"];
    let mut dice = Dice(88172645463325252);
    compare_in_batches(
        || {
            let text = dice.text(TEXTS, 12);
            let pattern = dice.text(PIECES, 6);
            let quoted = format!("'{text}', '{pattern}'");
            match dice.roll(9) {
                0 => format!("return 0, string.find({quoted})"),
                1 => format!("return 0, string.find({quoted}, {})", dice.roll(16) as i64 - 8),
                2 => format!("return 0, string.match({quoted}, {})", dice.roll(16) as i64 - 8),
                3 => format!("return 0, string.match({quoted})"),
                4 => format!(
                    "local t = {{}} for a, b, c in string.gmatch({quoted}) do t[#t + 1] = tostring(a) .. tostring(b) .. tostring(c) end return 0, unpack(t)"
                ),
                5 => {
                    let by = dice.text(&["x", "%0", "%1", "%2", "%%", "%", "<", ">"], 3);
                    format!("return 0, string.gsub({quoted}, '{by}')")
                }
                6 => format!(
                    "return 0, string.gsub({quoted}, {{a = 'A', b = false, ab = 5, ['1'] = true}}, {})",
                    dice.roll(6)
                ),
                7 => format!(
                    "return 0, string.gsub({quoted}, function(...) local a, b = ... return show(a, b, select('#', ...)) end)"
                ),
                _ => format!("return 0, string.find({quoted}, {}, true)", dice.roll(9) as i64 - 3),
            }
        },
        200,
    );
}

#[test]
fn random_formats_are_as_in_a_real_redis() {
    const PIECES: &[&str] = &[
        "%", "%%", "d", "i", "u", "x", "X", "o", "c", "e", "E", "f", "g", "G", "s", "q", "%d", "%5d", "%-8.3f", "%+g",
        "%s", "%q", "-", "+", " ", "#", "0", "1", "20", ".", ".3", "a", "\\0", "%10s", "%.2s", "%x", "%c", "%99d",
        "%-99s",
    ];
    const VALUES: &[&str] = &[
        "1",
        "-1",
        "0",
        "3.5",
        "-2.25",
        "1e15",
        "2^53",
        "1e300",
        "-2^63",
        "'12'",
        "'x'",
        "'a\\0b'",
        "'line\\nbreak\"\\\\'",
        "65",
        "nil",
        "true",
        "{}",
        "('long'):rep(40)",
        "1/3",
    ];
    let mut dice = Dice(362436069);
    compare_in_batches(
        || {
            let form = dice.text(PIECES, 6);
            let values: Vec<&str> = (0..dice.roll(4)).map(|_| dice.pick(VALUES)).collect();
            let values: String = values.iter().map(|value| format!(", {value}")).collect();
            format!("return 0, string.format('{form}'{values})")
        },
        60,
    );
}

#[test]
fn random_tables_are_sorted_and_joined_as_in_a_real_redis() {
    const ORDERS: &[&str] = &[
        "",
        ", function(a, b) return a < b end",
        ", function(a, b) return a > b end",
        ", function(a, b) return a <= b end",
        ", function(a, b) return a % 7 < b % 7 end",
        ", function(a, b) n = n + 1 if n > 20 then error('enough') end return a < b end",
    ];
    let mut dice = Dice(521288629);
    compare_in_batches(
        || {
            let len = [0, 1, 2, 3, 4, 10, 40, 100][dice.roll(8)];
            let seed = dice.roll(1000);
            let range = [3, 10, 1000][dice.roll(3)];
            let value = ["v", "v", "'k' .. v", "v % 2 == 0 and v or 'k' .. v", "v / 8"][dice.roll(5)];
            let fill = format!(
                "local t, n, v = {{}}, 0, {seed} for i = 1, {len} do v = (v * 137 + 71) % 1009 % {range} t[i] = {value} end"
            );
            let order = dice.pick(ORDERS);
            match dice.roll(6) {
                0 => format!("{fill} return 0, table.concat(t, ',', {})", dice.roll(4)),
                1 => format!("{fill} table.insert(t, {}, 'new') return #t, t[1], t[2], t[3]", 1 + dice.roll(len + 1)),
                2 => format!("{fill} local r = table.remove(t, {}) return r, #t, t[1], t[2], t[3]", dice.roll(5)),
                _ => format!("{fill} table.sort(t{order}) return table.concat(t, ',')"),
            }
        },
        60,
    );
}

#[test]
fn random_strings_are_made_as_in_a_real_redis() {
    let mut dice = Dice(123456789);
    compare_in_batches(
        || {
            let text = dice.text(&["a", "B", "\\0", "1", "\\200", "z"], 5);
            match dice.roll(4) {
                0 => format!("return 0, ('{text}'):rep({})", dice.roll(3000) as i64 - 5),
                1 => format!("return 0, ('{text}'):upper():reverse(), ('{text}'):lower()"),
                2 => format!("return 0, ('{text}'):byte({}, {})", dice.roll(9) as i64 - 4, dice.roll(9) as i64 - 4),
                _ => format!("return 0, ('{text}'):rep(3):find('{text}', {}, true)", dice.roll(30) as i64 - 15),
            }
        },
        40,
    );
}
