;; Modules that validate and mean harm: what they try is in the name of the export.
(module
  (type $again (func (param i32) (result i32)))
  (memory 1)
  (table $t 1 funcref)
  (elem (i32.const 0) $indirect_recursion)
  (func (export "infinite_loop") (loop $l (br $l)))
  (func (export "memory_bomb")
    (loop $l (drop (memory.grow (i32.const 16))) (br $l)))
  (func (export "table_bomb")
    (loop $l (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $l)))
  (func $infinite_recursion (export "infinite_recursion") (call $infinite_recursion))
  (func $indirect_recursion (export "indirect_recursion") (param i32) (result i32)
    (i32.add (local.get 0) (call_indirect $t (type $again) (local.get 0) (i32.const 0))))
  (func $many_locals (export "many_locals")
    (local i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64
           i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64
           i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64
           i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64)
    (call $many_locals))
  ;; Each instruction here is worth 64 KiB or more of work.
  (func (export "bulk_loop")
    (loop $l
      (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536))
      (br $l)))
  ;; References pushed and dropped: the interpreter would remember every one.
  (func (export "reference_loop") (param i32)
    (loop $l
      (drop (ref.func $infinite_recursion))
      (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
      (br_if $l (local.get 0))))
  (elem declare func $infinite_recursion))
