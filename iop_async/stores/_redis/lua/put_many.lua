-- ARGV: revision, fields and body of each record, as for write(). Returns what that does for each.
local answers = {}
for n = 1, #ARGV, 3 do
  answers[#answers + 1] = write(ARGV[n], ARGV[n + 1], ARGV[n + 2], '')
end
return answers
