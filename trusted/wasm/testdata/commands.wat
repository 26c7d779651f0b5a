;; A program whose _start does what its only argument says: spin, trap, print or sleep.
(module
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 1024) "Content-Type: text/plain\n\nawake\n")
  (data (i32.const 0) "\00\04\00\00\20\00\00\00") ;; an iovec: 32 bytes at 1024
  (func $print (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  ;; A relative timeout of 5 ms on the monotonic clock.
  (func $sleep
    (i32.store (i32.const 216) (i32.const 1))
    (i64.store (i32.const 224) (i64.const 5000000))
    (drop (call $poll_oneoff (i32.const 200) (i32.const 300) (i32.const 1) (i32.const 400))))
  (func (export "_start") (local $what i32)
    (drop (call $args_get (i32.const 16) (i32.const 32)))
    (local.set $what (i32.load8_u (i32.load (i32.const 20))))
    (if (i32.eq (local.get $what) (i32.const 0x74)) (then unreachable))            ;; trap
    (if (i32.eq (local.get $what) (i32.const 0x73)) (then (loop $l (br $l))))      ;; spin
    (if (i32.eq (local.get $what) (i32.const 0x70)) (then (loop $l (call $print) (br $l)))) ;; print
    (if (i32.eq (local.get $what) (i32.const 0x77)) (then (call $sleep) (call $print)))))   ;; wait
