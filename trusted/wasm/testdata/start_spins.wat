;; The start function never ends: it must run in slices, on the app's fuel.
(module
  (func $spin (loop $l (br $l)))
  (start $spin)
  (func (export "run")))
