//! Packed binary structures (`struct`).

use super::super::convert::truncated;
use super::super::lua::*;
use super::super::room::Room;
use super::super::shell::{Then, functions};
use super::super::work::Work;
use super::Function;
use super::arguments::{integer_or, number, string};
use super::output::Output;
use super::trouble::{Trouble, enter};
use std::os::raw::c_int;

functions! {
    struct_pack => |l| enter(l, pack);
    struct_unpack => |l| enter(l, unpack);
    struct_size => |l| enter(l, size);
}

/// What scripts see of it.
pub(super) const FUNCTIONS: [Function; 3] =
    [(c"pack", struct_pack), (c"size", struct_size), (c"unpack", struct_unpack)];

/// The largest integers, in bytes; what exceeds eight is padding.
const INTEGER_BYTES_MAX: usize = 32;
/// The alignment that `!` stands for.
const NATURAL_ALIGNMENT: usize = 8;
/// Steps that an option costs beside the bytes it moves.
const OPTION_STEPS: usize = 16;
/// What no integer of a format passes.
const COUNT_MAX: usize = i32::MAX as usize;

/// The rest of a format, and the modes that it has set.
struct Format<'a> {
    rest: &'a [u8],
    is_big_endian: bool,
    /// No option is aligned to more.
    alignment: usize,
}

impl<'a> Format<'a> {
    /// A format ends at its first zero byte.
    fn new(text: &'a [u8]) -> Self {
        let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
        Format { rest: &text[..end], is_big_endian: cfg!(target_endian = "big"), alignment: 1 }
    }

    /// The next option and the bytes that it takes, if the format says how many.
    fn option(&mut self) -> Result<Option<(u8, usize)>, Trouble> {
        let Some((&option, rest)) = self.rest.split_first() else {
            return Ok(None);
        };
        self.rest = rest;
        let bytes = match option {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'f' => 4,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'c' => self.count(1)?,
            b'i' | b'I' => {
                let bytes = self.count(4)?;
                if bytes > INTEGER_BYTES_MAX {
                    let text = format!("integral size {bytes} is larger than limit of {INTEGER_BYTES_MAX}");
                    return Err(Trouble::text(text));
                }
                bytes
            }
            _ => 0,
        };
        Ok(Some((option, bytes)))
    }

    /// The number that the rest starts with, if it does.
    fn count(&mut self, default: usize) -> Result<usize, Trouble> {
        if !self.rest.first().is_some_and(u8::is_ascii_digit) {
            return Ok(default);
        }
        let mut count = 0;
        while let Some((digit @ b'0'..=b'9', rest)) = self.rest.split_first() {
            count = count * 10 + usize::from(digit - b'0');
            if count > COUNT_MAX {
                return Err(Trouble::text("integral size overflow"));
            }
            self.rest = rest;
        }
        Ok(count)
    }

    /// The bytes between `at` and the place of an option. Sizes that are no powers of two get what the arithmetic of the original gives.
    fn padding(&self, at: u64, option: u8, bytes: usize) -> u64 {
        if bytes == 0 || option == b'c' {
            return 0;
        }
        let unit = bytes.min(self.alignment) as u64;
        unit.wrapping_sub(at & (unit - 1)) & (unit - 1)
    }

    /// Does what an option says that stands for no value.
    fn set_mode(&mut self, option: u8) -> Result<(), Trouble> {
        match option {
            b' ' => {}
            b'<' => self.is_big_endian = false,
            b'>' => self.is_big_endian = true,
            b'!' => {
                let alignment = self.count(NATURAL_ALIGNMENT)?;
                if !alignment.is_power_of_two() {
                    return Err(Trouble::text(format!("alignment {alignment} is not a power of 2")));
                }
                self.alignment = alignment;
            }
            _ => return Err(Trouble::argument(1, [b"invalid format option '", &[option][..], b"'"].concat())),
        }
        Ok(())
    }
}

unsafe fn pack(l: *mut lua_State, room: &Room) -> Result<c_int, Trouble> {
    // SAFETY: the limit is lifted; strings stay on the stack, which has free slots.
    unsafe {
        let mut format = Format::new(string(l, 1)?);
        // What is missing is nil, not none: the original has a mark there.
        lua_pushnil(l);
        let mut output = Output::new(room);
        let mut next = 2;
        while let Some((option, bytes)) = format.option()? {
            output.spend(OPTION_STEPS)?;
            for _ in 0..format.padding(output.as_bytes().len() as u64, option, bytes) {
                output.byte(0)?;
            }
            match option {
                b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                    let value = unsigned(number(l, next)?);
                    next += 1;
                    put_integer(&mut output, value, bytes, format.is_big_endian)?;
                }
                b'f' => {
                    let value = number(l, next)? as f32;
                    next += 1;
                    output.push(&if format.is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() })?;
                }
                b'd' => {
                    let value = number(l, next)?;
                    next += 1;
                    output.push(&if format.is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() })?;
                }
                b'x' => output.byte(0)?,
                b's' => {
                    output.push(string(l, next)?)?;
                    next += 1;
                    output.byte(0)?;
                }
                b'c' => {
                    let text = string(l, next)?;
                    next += 1;
                    let bytes = if bytes == 0 { text.len() } else { bytes };
                    let Some(text) = text.get(..bytes) else {
                        return Err(Trouble::argument(next, "string too short"));
                    };
                    output.push(text)?;
                }
                _ => format.set_mode(option)?,
            }
        }
        output.finish(l)
    }
}

unsafe fn unpack(l: *mut lua_State, room: &Room) -> Result<c_int, Trouble> {
    // SAFETY: the limit is lifted; both strings stay on the stack, and each value has its slot.
    unsafe {
        let mut format = Format::new(string(l, 1)?);
        let data = string(l, 2)?;
        let mut at = integer_or(l, 3, 1)? as u64;
        if at == 0 {
            return Err(Trouble::argument(3, "offset must be 1 or greater"));
        }
        at -= 1;
        lua_settop(l, 2);
        let mut work = Work::new(room);
        let mut count = 0;
        while let Some((option, bytes)) = format.option()? {
            work.spend(OPTION_STEPS)?;
            at = at.wrapping_add(format.padding(at, option, bytes));
            let mut field = take(data, at, bytes as u64)?;
            if lua_checkstack(l, 2) == 0 {
                return Err(Trouble::text("stack overflow (too many results)"));
            }
            match option {
                b'b' | b'h' | b'l' | b'i' => lua_pushnumber(l, signed_integer(field, format.is_big_endian)),
                b'B' | b'H' | b'L' | b'T' | b'I' => lua_pushnumber(l, integer(field, format.is_big_endian) as f64),
                b'f' => {
                    let bytes = field.try_into().expect("a float has four bytes");
                    let value =
                        if format.is_big_endian { f32::from_be_bytes(bytes) } else { f32::from_le_bytes(bytes) };
                    lua_pushnumber(l, value.into());
                }
                b'd' => {
                    let bytes = field.try_into().expect("a double has eight bytes");
                    let value =
                        if format.is_big_endian { f64::from_be_bytes(bytes) } else { f64::from_le_bytes(bytes) };
                    lua_pushnumber(l, value);
                }
                b'x' => {}
                b'c' => {
                    if bytes == 0 {
                        if count == 0 || lua_isnumber(l, -1) == 0 {
                            return Err(Trouble::text("format 'c0' needs a previous size"));
                        }
                        field = take(data, at, unsigned(lua_tonumber(l, -1)))?;
                        lua_pop(l, 1);
                        count -= 1;
                    }
                    push_text(l, room, field)?;
                }
                b's' => {
                    field = until_zero(&data[at as usize..], &mut work)?;
                    push_text(l, room, &field[..field.len() - 1])?;
                }
                _ => format.set_mode(option)?,
            }
            if option.is_ascii_alphabetic() && option != b'x' {
                count += 1;
            }
            at += field.len() as u64;
        }
        lua_pushnumber(l, at.wrapping_add(1) as i64 as f64);
        Ok(count + 1)
    }
}

unsafe fn size(l: *mut lua_State, room: &Room) -> Result<c_int, Trouble> {
    // SAFETY: the limit is lifted; the string stays on the stack.
    unsafe {
        let mut format = Format::new(string(l, 1)?);
        let mut work = Work::new(room);
        let mut at = 0;
        while let Some((option, bytes)) = format.option()? {
            work.spend(OPTION_STEPS)?;
            at += format.padding(at, option, bytes);
            match option {
                b's' => return Err(Trouble::argument(1, "option 's' has no fixed size")),
                b'c' if bytes == 0 => return Err(Trouble::argument(1, "option 'c0' has no fixed size")),
                // Letters and digits that are no options pass, as in the original.
                option if option.is_ascii_alphanumeric() => {}
                option => format.set_mode(option)?,
            }
            at += bytes as u64;
        }
        lua_pushnumber(l, at as f64);
    }
    Ok(1)
}

/// A double as C's casts make it an unsigned integer on this processor, negative ones around the end.
fn unsigned(value: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if value >= HALF { truncated(value - HALF) as u64 ^ 1 << 63 } else { truncated(value) as u64 }
}

fn put_integer(output: &mut Output, value: u64, bytes: usize, is_big_endian: bool) -> Result<(), Trouble> {
    let mut field = [0; INTEGER_BYTES_MAX];
    field[..8].copy_from_slice(&value.to_le_bytes());
    let field = &mut field[..bytes];
    if is_big_endian {
        field.reverse();
    }
    output.push(field)
}

/// The low eight bytes of an integer.
fn integer(field: &[u8], is_big_endian: bool) -> u64 {
    let digit = |value: u64, &byte: &u8| value << 8 | u64::from(byte);
    if is_big_endian { field.iter().fold(0, digit) } else { field.iter().rev().fold(0, digit) }
}

/// The same with its sign. Beyond eight bytes the original shifts by more than a word has, which this processor does in a circle.
fn signed_integer(field: &[u8], is_big_endian: bool) -> f64 {
    let value = integer(field, is_big_endian);
    let sign_and_above = u64::MAX.wrapping_shl((field.len() as u32 * 8).wrapping_sub(1));
    let value = if value & sign_and_above != 0 { value | sign_and_above } else { value };
    value as i64 as f64
}

fn take(data: &[u8], at: u64, bytes: u64) -> Result<&[u8], Trouble> {
    let len = data.len() as u64;
    if bytes > len || at > len - bytes {
        return Err(Trouble::argument(2, "data string too short"));
    }
    Ok(&data[at as usize..(at + bytes) as usize])
}

/// What stands before the first zero byte, and that byte.
fn until_zero<'a>(data: &'a [u8], work: &mut Work) -> Result<&'a [u8], Trouble> {
    const PIECE_BYTES: usize = 1 << 16;
    for (index, piece) in data.chunks(PIECE_BYTES).enumerate() {
        work.spend(piece.len() / 8)?;
        if let Some(place) = piece.iter().position(|&byte| byte == 0) {
            return Ok(&data[..index * PIECE_BYTES + place + 1]);
        }
    }
    Err(Trouble::text("unfinished string in data"))
}

unsafe fn push_text(l: *mut lua_State, room: &Room, text: &[u8]) -> Result<(), Trouble> {
    if room.memory.exceeds(text.len()) {
        return Err(Trouble::Memory);
    }
    // SAFETY: a slot is free.
    unsafe { push_bytes(l, text) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_integers_as_in_c() {
        for (value, expected) in [
            (1.9, 1),
            (-1.9, u64::MAX),
            (9_223_372_036_854_775_808.0, 1 << 63),
            (18_446_744_073_709_551_616.0, 0),
            (1e300, 0),
            (-1e300, 1 << 63),
            (f64::NAN, 1 << 63),
        ] {
            assert_eq!(unsigned(value), expected, "{value}");
        }
    }

    #[test]
    fn padding_is_bounded_by_the_alignment() {
        let mut format = Format::new(b"");
        assert_eq!(format.padding(1, b'd', 8), 0);
        format.alignment = 4;
        assert_eq!(format.padding(1, b'd', 8), 3);
        assert_eq!(format.padding(4, b'd', 8), 0);
        assert_eq!(format.padding(1, b'c', 8), 0);
        assert_eq!(format.padding(0, b'i', 3), 2);
    }

    #[test]
    fn sizes_past_the_limit_are_refused() {
        for text in ["c2147483648", "i99999999999999999999999", "!2147483648"] {
            let mut format = Format::new(text.as_bytes());
            let result = format.option().and_then(|option| match option {
                Some((b'!', _)) => format.set_mode(b'!'),
                _ => Ok(()),
            });
            assert_eq!(result, Err(Trouble::text("integral size overflow")), "{text}");
        }
    }
}
