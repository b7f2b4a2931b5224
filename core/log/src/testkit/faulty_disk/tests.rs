use super::*;

fn write(file: &dyn DiskFile, bytes: &[u8], position: u64) -> io::Result<()> {
    file.write_all_at(&mut [IoSlice::new(bytes)], position)
}

/// A disk with the durable file `/d/f` that holds `old`.
fn disk(seed: u64) -> (FaultyDisk, Arc<dyn DiskFile>) {
    let disk = FaultyDisk::new(seed);
    disk.create_directory(Path::new("/d")).unwrap();
    let file = disk.open_to_write(Path::new("/d/f"), true).unwrap();
    write(&*file, b"old", 0).unwrap();
    file.sync().unwrap();
    disk.sync_directory(Path::new("/")).unwrap();
    disk.sync_directory(Path::new("/d")).unwrap();
    (disk, file)
}

fn content(disk: &FaultyDisk) -> Vec<u8> {
    disk.read(Path::new("/d/f")).unwrap().to_vec()
}

#[test]
fn what_was_synced_survives_every_power_cut() {
    for seed in 0..50 {
        let (disk, _) = disk(seed);
        disk.power_on();
        assert_eq!(content(&disk), b"old");
    }
}

#[test]
fn what_was_not_synced_is_lost_in_some_power_cuts_and_torn_in_others() {
    let outcomes: Vec<Vec<u8>> = (0..60)
        .map(|seed| {
            let (disk, file) = disk(seed);
            write(&*file, &[b'x'; 2_000], 3).unwrap();
            disk.power_on();
            content(&disk)
        })
        .collect();
    let written =
        outcomes.iter().map(|outcome| outcome.iter().filter(|&&byte| byte == b'x').count());
    let written: Vec<usize> = written.collect();
    assert!(written.contains(&0) && written.contains(&2_000));
    assert!(written.iter().any(|&count| count > 0 && count < 2_000));
}

#[test]
fn a_name_that_was_not_synced_can_be_lost() {
    let lost = (0..20).filter(|&seed| {
        let (disk, _) = disk(seed);
        disk.open_to_write(Path::new("/d/new"), true).unwrap().sync().unwrap();
        disk.power_on();
        disk.open(Path::new("/d/new")).is_err()
    });
    let lost = lost.count();
    assert!(lost > 0 && lost < 20);
}

#[test]
fn a_failed_sync_loses_the_bytes_even_if_it_is_tried_again() {
    let (disk, file) = disk(1);
    write(&*file, b"new", 0).unwrap();
    disk.fail(Call::Sync, 0, io::ErrorKind::Other);
    file.sync().unwrap_err();
    file.sync().unwrap();
    assert_eq!(content(&disk), b"new", "the cache still shows them");
    disk.power_on();
    assert_eq!(content(&disk), b"old");
}

#[test]
fn a_full_disk_takes_what_fits() {
    let (disk, file) = disk(1);
    disk.set_capacity(Some(5));
    let refused = write(&*file, b"1234", 3).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
    assert_eq!(content(&disk), b"old12");
}

#[test]
fn nothing_works_while_the_power_is_off_nor_through_old_files_after_it() {
    let (disk, file) = disk(1);
    disk.cut_power_after(1);
    write(&*file, b"a", 0).unwrap();
    assert!(write(&*file, b"b", 1).is_err());
    assert!(disk.read(Path::new("/d/f")).is_err() && disk.is_off());
    disk.power_on();
    assert!(file.size().is_err());
    assert!(disk.open(Path::new("/d/f")).is_ok());
}
