;; Valid, but its data lies outside its memory: instantiation fails.
(module
  (memory 1)
  (data (i32.const 65530) "0123456789")
  (func (export "run")))
