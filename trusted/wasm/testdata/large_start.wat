;; Little code, and much to make before it runs.
(module
  (memory 1024)
  (table 65000 funcref)
  (data (i32.const 67108863) "\2a"))
