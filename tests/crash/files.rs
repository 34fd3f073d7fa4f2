//! A data directory as bytes: taken, compared, put back. Its files are large and mostly empty, so only pages with something in
//! them are kept.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const PAGE_BYTES: usize = 4096;

/// One file: its length, and its pages that are not all zero.
#[derive(Clone, PartialEq, Eq)]
struct Content {
    length: u64,
    pages: BTreeMap<u64, Vec<u8>>,
}

/// All files below a directory, by their paths inside it.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    files: BTreeMap<PathBuf, Content>,
}

/// A byte of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's path inside the directory.
    pub file: PathBuf,
    /// Bytes from the file's start.
    pub offset: u64,
}

impl Image {
    /// Reads a directory.
    pub fn take(directory: &Path) -> Image {
        let mut files = BTreeMap::new();
        collect(directory, Path::new(""), &mut files);
        Image { files }
    }

    /// Makes a directory that holds this and nothing else.
    pub fn put(&self, directory: &Path) {
        let _ = std::fs::remove_dir_all(directory);
        std::fs::create_dir_all(directory).expect("make the directory");
        for (path, content) in &self.files {
            let path = directory.join(path);
            std::fs::create_dir_all(path.parent().expect("inside the directory")).expect("make the directory");
            let file = File::create(&path).expect("make a file");
            file.set_len(content.length).expect("set a length");
            for (number, page) in &content.pages {
                file.write_all_at(page, number * PAGE_BYTES as u64).expect("write a page");
            }
        }
    }

    fn byte(&self, place: &Place) -> u8 {
        let (page, within) = (place.offset / PAGE_BYTES as u64, (place.offset % PAGE_BYTES as u64) as usize);
        self.files.get(&place.file).and_then(|content| content.pages.get(&page)?.get(within).copied()).unwrap_or(0)
    }

    fn set_byte(&mut self, place: &Place, byte: u8) {
        let (page, within) = (place.offset / PAGE_BYTES as u64, (place.offset % PAGE_BYTES as u64) as usize);
        let content = self.files.get_mut(&place.file).expect("a file of the image");
        content.pages.entry(page).or_insert_with(|| vec![0; PAGE_BYTES])[within] = byte;
    }

    /// Turns one bit over.
    pub fn flip(&mut self, place: &Place, bit: u32) {
        self.set_byte(place, self.byte(place) ^ 1 << bit);
    }

    /// The bytes that are not the same in `before`, in order.
    pub fn changes_since(&self, before: &Image) -> Vec<Place> {
        let mut places = Vec::new();
        for (path, content) in &self.files {
            for (number, page) in &content.pages {
                let old = before.files.get(path).and_then(|content| content.pages.get(number));
                if old == Some(page) {
                    continue;
                }
                for within in 0..page.len() as u64 {
                    let place = Place { file: path.clone(), offset: number * PAGE_BYTES as u64 + within };
                    if before.byte(&place) != self.byte(&place) {
                        places.push(place);
                    }
                }
            }
        }
        places
    }

    /// This image, but with the given places as they were in `before`: a write of which only the part before them arrived.
    pub fn without(&self, places: &[Place], before: &Image) -> Image {
        let mut cut = self.clone();
        places.iter().for_each(|place| cut.set_byte(place, before.byte(place)));
        cut
    }

    /// All places with something in them.
    pub fn used_places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for (path, content) in &self.files {
            for (number, page) in &content.pages {
                let used = page.iter().enumerate().filter(|(_, byte)| **byte != 0);
                places.extend(used.map(|(within, _)| Place {
                    file: path.clone(),
                    offset: number * PAGE_BYTES as u64 + within as u64,
                }));
            }
        }
        places
    }
}

fn collect(root: &Path, inside: &Path, files: &mut BTreeMap<PathBuf, Content>) {
    for entry in std::fs::read_dir(root.join(inside)).expect("list the directory") {
        let entry = entry.expect("list the directory");
        let path = inside.join(entry.file_name());
        if entry.file_type().expect("type of an entry").is_dir() {
            collect(root, &path, files);
            continue;
        }
        let file = match File::open(entry.path()) {
            Ok(file) => file,
            // A running server renames what it has prepared: this was listed under its old name.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => panic!("open {}: {error}", entry.path().display()),
        };
        let length = file.metadata().expect("length of a file").len();
        let mut pages = BTreeMap::new();
        let mut chunk = vec![0; 256 * PAGE_BYTES];
        let mut offset = 0;
        while offset < length {
            let count = (length - offset).min(chunk.len() as u64) as usize;
            file.read_exact_at(&mut chunk[..count], offset).expect("read a file");
            for (number, page) in chunk[..count].chunks(PAGE_BYTES).enumerate() {
                if page.iter().any(|&byte| byte != 0) {
                    pages.insert(offset / PAGE_BYTES as u64 + number as u64, page.to_vec());
                }
            }
            offset += count as u64;
        }
        files.insert(path, Content { length, pages });
    }
}
