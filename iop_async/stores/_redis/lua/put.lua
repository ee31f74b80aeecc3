-- ARGV and what is returned: those of write().
return write(unpack(ARGV))
